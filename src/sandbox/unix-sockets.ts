// Finds the sockets in the file system that a namespace of the network does not keep a sandbox from: whoever has the path
// reaches whoever bound it. Called by `places.ts`.

import { lstatSync, readFileSync } from 'node:fs'

// num refcount protocol flags type state inode path; a name that begins with @ is of the network's namespace.
const LINE = /^(?:\S+ +){6} *\S+ (\/.*)$/

/** Lists paths: of what is bound on this machine as far as it is told, and of what variables name. */
export function boundSockets(environment: Readonly<Record<string, string | undefined>>): string[] {
  const named = [
    environment['SSH_AUTH_SOCK'],
    environment['DOCKER_HOST']?.replace(/^unix:\/\//, ''),
    environment['CONTAINER_HOST']?.replace(/^unix:\/\//, ''),
    environment['GPG_AGENT_INFO']?.split(':')[0],
  ]
  const bound = readTable()
    .split('\n')
    .map((line) => LINE.exec(line)?.[1])
  return [...new Set([...named, ...bound])].filter(
    (at): at is string => at?.startsWith('/') === true && isSocket(at),
  )
}

function readTable(): string {
  try {
    return readFileSync('/proc/net/unix', 'utf8')
  } catch {
    return ''
  }
}

function isSocket(at: string): boolean {
  try {
    return lstatSync(at).isSocket()
  } catch {
    return false
  }
}
