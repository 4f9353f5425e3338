// Asks a health listener every few milliseconds, in a process of its own, so that a blocked event loop shows as the time
// between two answers. Started by `tasks.ts` with the URL; told anything by IPC it answers with the longest gap since then.

import http from 'node:http'

const EVERY_MS = 10
const [url = ''] = process.argv.slice(2)
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
let longestMs = 0
let answeredAt = performance.now()

process.on('message', () => {
  process.send?.(Math.max(longestMs, performance.now() - answeredAt))
  longestMs = 0
})
process.once('disconnect', () => process.exit())

for (;;) {
  await ask()
  const now = performance.now()
  longestMs = Math.max(longestMs, now - answeredAt)
  answeredAt = now
  await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
}

// A listener that is not there answers as well as one that is.
function ask(): Promise<void> {
  return new Promise((resolve) => {
    http
      .get(url, { agent }, (response) => response.resume().once('close', () => resolve()))
      .once('error', () => resolve())
  })
}
