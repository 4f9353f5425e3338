// The memory of the whole program: a minted value is in it while its task runs and used it, and nowhere in it once the task is over.

import t from 'tap'

import { isInHeap } from '../fixtures/heap.ts'
import { exchange, request, scenario, sleep, startSecure } from '../fixtures/scenario.ts'
import { makeTask, revoke, secureAs } from '../fixtures/tasks.ts'

const CANARY = 'canary-in-heap-5d20b7c1'
// The program asks nobody: what it prints is made of two halves, so that its text is not the value.
const MINT = `console.log(JSON.stringify({ value: '${CANARY.slice(0, 8)}' + '${CANARY.slice(8)}', expiresIn: 3600, id: 'one' }))`
// Records that are written late are masked for a while.
const FORGOTTEN_MS = 7000

void t.test('minted values in memory', async (t) => {
  const upstream = await startSecure(['api.test'], () => ({ body: 'ok' }))
  t.teardown(() => upstream.close())
  const at = `api.test:${upstream.port}`
  scenario(
    t,
    'R13: once its task is over, no string of the program holds a minted value',
    {
      hosts: ['api.test'],
      expires: null,
      limits: 'providerTimeoutMs: 30000',
      files: { 'mint.mjs': MINT, 'revoke.mjs': '' },
      config: `credentials:
  minted: { source: { exec: { command: [${process.execPath}, mint.mjs], revoke: [${process.execPath}, revoke.mjs] } }, inject: { bearer: true }, hosts: ['${at}'] }
`,
      rules: {
        set: `ruleset: set\nrules:\n  - { id: use, allow: 'https://${at}', credential: minted, addresses: [127.0.0.0/8] }\n`,
      },
    },
    async (cx, t) => {
      cx.guard('minted', CANARY)
      const task = await makeTask(cx)
      const answer = await exchange(await secureAs(cx, task, at), request('GET', '/', at), 20_000)
      t.match(answer, /^HTTP\/1\.1 200/)
      t.ok(upstream.seen[0]?.rawHeaders.includes(`Bearer ${CANARY}`))
      t.equal(await isInHeap(cx.pid(), CANARY), true, 'while it runs')
      await revoke(cx, task.id)
      let isThere = true
      for (let times = 0; times < 5 && isThere; times += 1) {
        await sleep(FORGOTTEN_MS)
        isThere = await isInHeap(cx.pid(), CANARY)
      }
      t.equal(isThere, false, 'once it is over')
    },
  )
})
