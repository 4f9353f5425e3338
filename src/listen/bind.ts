// Binds a listener to its address; a unix socket that a dead process left behind is taken away first. Called by `server.ts`,
// `control/health.ts` and `control/server.ts`.

import { chmodSync, lstatSync, rmSync } from 'node:fs'
import net from 'node:net'

/** Where to listen. */
export type SocketAddress =
  { readonly host: string; readonly port: number } | { readonly path: string }

/**
 * Starts to listen.
 * @param socketMode a unix socket's mode, never wider from its first moment on; undefined: as the process makes files
 * @throws Error of the system where the address cannot be had, such as one that is in use
 */
export async function bindListener(
  server: net.Server,
  address: SocketAddress,
  socketMode?: number,
): Promise<void> {
  if ('path' in address && isSocket(address.path) && !(await isAnswered(address.path)))
    rmSync(address.path, { force: true })
  await new Promise<void>((resolve, reject) => {
    const listen = (): void => {
      server.once('error', reject)
      server.listen(address, () => {
        server.off('error', reject)
        resolve()
      })
    }
    if ('path' in address && socketMode !== undefined) masked(0o777 & ~socketMode, listen)
    else listen()
  })
  if ('path' in address && socketMode !== undefined) chmodSync(address.path, socketMode)
}

/** Node binds a path before `listen` returns, so the mask, which is the whole process's, is nobody else's. */
function masked(mask: number, run: () => void): void {
  const before = process.umask(mask)
  try {
    run()
  } finally {
    process.umask(before)
  }
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
