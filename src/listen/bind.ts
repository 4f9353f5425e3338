// Binds a listener to its address; a unix socket that a dead process left behind is taken away first. Called by `server.ts`
// and `control/health.ts`.

import { lstatSync, rmSync } from 'node:fs'
import net from 'node:net'

/** Where to listen. */
export type SocketAddress =
  { readonly host: string; readonly port: number } | { readonly path: string }

/** Starts to listen. @throws Error of the system where the address cannot be had, such as one that is in use */
export async function bindListener(server: net.Server, address: SocketAddress): Promise<void> {
  if ('path' in address && isSocket(address.path) && !(await isAnswered(address.path)))
    rmSync(address.path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true
}

// Only a refusal says that nobody listens; whatever else comes of it, the socket may be somebody's.
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error) => resolve(!('code' in error && error.code === 'ECONNREFUSED')))
  })
}
