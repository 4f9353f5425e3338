// What listens on loopback and on this namespace's own addresses: doors of the sidecar's may, processes of the sandbox may, and
// nobody else. Called by `inside.ts`.

import { reporterFor, type Finding } from '../finding.ts'
import { identifyListener } from './listeners.ts'
import type { Endpoint } from './ours.ts'
import { ownSocketInodes } from './own-sockets.ts'
import type { Probe } from './probe.ts'
import { listeningSockets } from './proc-net.ts'
import type { Surroundings } from './surroundings.ts'

const { ok, warn, fail } = reporterFor('loopback')

/** Tried as well, for what the kernel does not tell: databases, engines, debuggers, the sidecar's own. */
const USUAL = [22, 80, 443, 2375, 3000, 3128, 5000, 5432, 6379, 8000, 8080, 9229, 15020, 15021]
const LISTENERS_MAX = 64
const MEND = 'stop it, or run the sandbox in a network namespace of its own'
const CONTROL_MEND =
  'let `control.listen` be a unix socket outside of the sandbox, or an address that it does not reach'

interface Found extends Endpoint {
  readonly inode?: string
}

/** Asks each listener who it is. */
export const probeLoopback: Probe = async (around) => {
  const listening = listeningSockets()
  const told = (listening ?? []).map((one): Found => ({ ...one, host: reachable(one.host) }))
  const all = new Map<string, Found>()
  for (const one of [...told, ...USUAL.map((port): Found => ({ host: '127.0.0.1', port }))]) {
    const key = `${one.host} ${one.port}`
    if (!all.has(key)) all.set(key, one)
  }
  const own = ownSocketInodes()
  const looked = [...all.values()].slice(0, LISTENERS_MAX)
  const findings = (await Promise.all(looked.map((one) => judgeListener(one, own, around)))).flat()
  if (all.size > LISTENERS_MAX)
    findings.push(
      warn('further listeners', `${all.size - LISTENERS_MAX} more`, 'not looked at', MEND),
    )
  return findings.length > 0 ? findings : [ok('listeners', 'there are none', 'no way out')]
}

async function judgeListener(
  found: Found,
  own: ReadonlySet<string>,
  around: Surroundings,
): Promise<Finding[]> {
  const { host, port, inode } = found
  const tried = `the listener at ${host}, port ${port}`
  const { kind, how } = await identifyListener({ host, port }, around)
  switch (kind) {
    case 'none':
      return []
    case 'ours':
      return [ok(tried, how, "the sidecar's own")]
    case 'control':
      return [fail(tried, how, 'the control API is reached from the sandbox (I6)', CONTROL_MEND)]
    case 'foreign':
    default:
      return inode !== undefined && own.has(inode)
        ? [warn(tried, how, 'a process of this sandbox: what it holds it may pass on', MEND)]
        : [fail(tried, how, 'a process outside of this sandbox, perhaps a way out', MEND)]
  }
}

function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
}
