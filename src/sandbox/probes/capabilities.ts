// What this process could do to its namespaces: capabilities, and whether a program could give it more. Reads what the kernel
// tells and opens nothing. Called by `inside.ts`.

import { reporterFor, type Finding } from '../finding.ts'
import type { Probe } from './probe.ts'
import { textOf } from './surroundings.ts'

const { ok, warn, fail } = reporterFor('capabilities')

/** Bits of those that open a way around, by name. @see capabilities(7) */
const TELLING: Readonly<Record<string, number>> = {
  CAP_DAC_READ_SEARCH: 2,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_MODULE: 16,
  CAP_SYS_RAWIO: 17,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_BPF: 39,
}
const MEND =
  'start the sandbox without it: `setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs`, `cap_drop: [ALL]`, or `capabilities: { drop: [ALL] }`'
const TRIED = 'capabilities of this process'

/** Looks at the process's own status. */
export const probeCapabilities: Probe = () =>
  Promise.resolve(judgeStatus(textOf('/proc/self/status')))

/** Judges the text of `/proc/PID/status`. */
export function judgeStatus(status: string): Finding[] {
  const held = new Set(['CapEff', 'CapPrm', 'CapAmb'].flatMap((set) => namesIn(status, set)))
  if (!/^CapEff:/m.test(status))
    return [warn(TRIED, 'the kernel does not tell', 'not looked at', 'mount /proc in the sandbox')]
  const mayGain = !/^NoNewPrivs:\s*1$/m.test(status)
  const gainable = mayGain ? namesIn(status, 'CapBnd').filter((name) => !held.has(name)) : []
  return [
    ...[...held].map((name) =>
      fail(`the capability ${name}`, 'held', 'it can change or leave what holds it', MEND),
    ),
    ...(gainable.length === 0
      ? []
      : [
          warn(
            'programs that give capabilities',
            `could give ${gainable.join(' ')}: no_new_privs is not set`,
            'a set-user-id program in the sandbox gives it more than it has',
            MEND,
          ),
        ]),
    ...(held.size === 0 && gainable.length === 0
      ? [
          ok(
            TRIED,
            `none that tells${mayGain ? '' : ', no_new_privs is set'}`,
            'it cannot change what holds it',
          ),
        ]
      : []),
  ]
}

function namesIn(status: string, set: string): string[] {
  const hex = new RegExp(`^${set}:\\s*([\\da-f]+)$`, 'm').exec(status)?.[1] ?? '0'
  const bits = BigInt(`0x${hex}`)
  return Object.entries(TELLING).flatMap(([name, bit]) =>
    (bits >> BigInt(bit)) & 1n ? [name] : [],
  )
}
