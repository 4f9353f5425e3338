// Processes outside of the sandbox: whether their variables can be read, their memory opened, their files reached. Opens, and
// touches nothing. Called by `inside.ts`.

import { closeSync, constants, openSync } from 'node:fs'

import { reporterFor, type Finding } from '../finding.ts'
import { isOfThisSandbox, namesIn, processIds } from './own-sockets.ts'
import type { Probe } from './probe.ts'
import { textOf } from './surroundings.ts'

const { ok, warn, fail } = reporterFor('processes')

const SHOWN_MAX = 5
const MEND = 'give the sandbox a PID namespace of its own with a fresh /proc, and another user'

/** Looks at each process that is seen. */
export const probeProcesses: Probe = () => Promise.resolve(lookAtAll())

function lookAtAll(): Finding[] {
  const seen = processIds()
  if (seen.length === 0 && namesIn('/proc').length === 0)
    return [warn('processes outside', '/proc is not there', 'not looked at', MEND)]
  const outside = seen.filter((pid) => !isOfThisSandbox(pid))
  const open = outside.flatMap((pid) => lookAt(pid))
  if (open.length > 0) return open.slice(0, SHOWN_MAX)
  // The kernel's own threads are seen only where the machine's /proc is.
  if (textOf('/proc/2/comm').trim() === 'kthreadd')
    return [
      warn(
        'processes outside',
        `${outside.length} are seen, none can be opened`,
        "the machine's own /proc is here: command lines of others can be read",
        MEND,
      ),
    ]
  return [ok('processes outside', 'none can be opened', 'no way out')]
}

function lookAt(pid: string): Finding[] {
  const reached = [
    ...(textOf(`/proc/${pid}/environ`) === '' ? [] : ['its variables']),
    ...(opens(`/proc/${pid}/mem`) ? ['its memory'] : []),
    ...(namesIn(`/proc/${pid}/root`).length === 0 ? [] : ['its files']),
  ]
  if (reached.length === 0) return []
  const name = textOf(`/proc/${pid}/comm`).trim()
  return [
    fail(
      `process ${pid} (${name})`,
      `${reached.join(', ')} can be opened`,
      'a process outside of this sandbox is at its mercy',
      MEND,
    ),
  ]
}

function opens(file: string): boolean {
  try {
    closeSync(openSync(file, constants.O_RDWR))
    return true
  } catch {
    return false
  }
}
