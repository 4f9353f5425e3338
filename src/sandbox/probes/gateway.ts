// The machine that the sandbox runs on, as its network shows it: the gateway, the first address of each network, the names that
// engines give to their host. Called by `inside.ts`.

import { reporterFor, type Finding } from '../finding.ts'
import { askFor } from './dns-text.ts'
import { sendDatagram } from './knock.ts'
import { identifyListener } from './listeners.ts'
import type { Probe } from './probe.ts'
import type { Surroundings } from './surroundings.ts'

const { ok, fail } = reporterFor('gateway')

/** Shells, web servers, engines, databases, the kubelet, the sidecar's own. */
const PORTS = [
  22, 80, 443, 2375, 2376, 3000, 3128, 5000, 5432, 6379, 6443, 8000, 8080, 8443, 10250, 15020,
  15021,
]
const NAMES = ['host.docker.internal', 'host.containers.internal']
const MEND =
  "drop what the sandbox sends to its host, but for the sidecar's port; for containers: an `internal` network"

/** Knocks at each. */
export const probeGateway: Probe = async (around) => {
  const named = await Promise.all(
    around.resolvers.flatMap((server) => NAMES.map((name) => resolve(server, name))),
  )
  const hosts = [...new Set([...around.neighbours, ...named.flat()])]
  if (hosts.length === 0)
    return [ok('the gateway and the host', 'no network leads to one', 'no way out')]
  return (await Promise.all(hosts.map((host) => tryHost(host, around)))).flat()
}

async function tryHost(host: string, around: Surroundings): Promise<Finding[]> {
  const tried = `the gateway or host at ${host}`
  const listeners = await Promise.all(
    PORTS.map(async (port) => ({ port, ...(await identifyListener({ host, port }, around)) })),
  )
  const reached = listeners.filter(({ kind }) => kind === 'foreign' || kind === 'control')
  if (reached.length === 0) return [ok(tried, 'no port but doors of the sidecar', 'no way out')]
  return reached.map(({ port, kind, how }) =>
    fail(
      `${tried}, port ${port}`,
      how,
      kind === 'control'
        ? 'the control API is reached from the sandbox (I6)'
        : 'the host itself is reached',
      MEND,
    ),
  )
}

async function resolve(server: string, name: string): Promise<readonly string[]> {
  const { bytes, read } = askFor(name)
  const result = await sendDatagram(server, 53, bytes)
  return result.kind === 'answered' ? (read(result.bytes)?.addresses ?? []) : []
}
