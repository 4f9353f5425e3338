// Whose a socket is: of a process of this sandbox, which may listen to itself, or of somebody outside. Reads /proc only.
// Called by the probes of loopback and unix sockets, and of processes.

import { readdirSync, readlinkSync } from 'node:fs'

/** The namespaces that make a process one of this sandbox. */
const NAMESPACES = ['net', 'mnt', 'pid', 'user'] as const
const PROCESSES_MAX = 4096
const DESCRIPTORS_MAX = 1024

/** Inodes of the sockets that processes of this sandbox hold. */
export function ownSocketInodes(): ReadonlySet<string> {
  const inodes = new Set<string>()
  for (const pid of processIds()) {
    if (!isOfThisSandbox(pid)) continue
    for (const descriptor of namesIn(`/proc/${pid}/fd`).slice(0, DESCRIPTORS_MAX)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${descriptor}`) ?? '')?.[1]
      if (inode !== undefined) inodes.add(inode)
    }
  }
  return inodes
}

/** The processes that are seen from here, without this one. */
export function processIds(): readonly string[] {
  return namesIn('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .slice(0, PROCESSES_MAX)
}

/** Whether a process is in every namespace that this one is in. What may not be looked at is not. */
export function isOfThisSandbox(pid: string): boolean {
  return NAMESPACES.every((name) => {
    const own = linkOf(`/proc/self/ns/${name}`)
    return own !== undefined && own === linkOf(`/proc/${pid}/ns/${name}`)
  })
}

/** The names in a directory; none where it cannot be read. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function linkOf(file: string): string | undefined {
  try {
    return readlinkSync(file)
  } catch {
    return undefined
  }
}
