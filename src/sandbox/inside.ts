// `sallyport doctor --inside`: every way out is tried at once, after the one that must be open. Bounded as a whole: what has not
// ended by then is a failure, as nothing is proved by it. Deliberately no way out's own work. Called by `cli/doctor.ts`.

import type { Finding } from './finding.ts'
import { probeCapabilities } from './probes/capabilities.ts'
import { probeControl } from './probes/control.ts'
import { probeDns } from './probes/dns.ts'
import { probeEnvironment } from './probes/environment.ts'
import { probeFiles } from './probes/files.ts'
import { probeGateway } from './probes/gateway.ts'
import { probeLoopback } from './probes/loopback.ts'
import { probeMetadata } from './probes/metadata.ts'
import type { Probe } from './probes/probe.ts'
import { probeProcesses } from './probes/processes.ts'
import { probeProxy } from './probes/proxy.ts'
import { probeRaw } from './probes/raw.ts'
import { judgeRoutes } from './probes/routes.ts'
import type { Surroundings } from './probes/surroundings.ts'
import { probeTcp } from './probes/tcp.ts'
import { probeUdp } from './probes/udp.ts'
import { probeUnixSockets } from './probes/unix-sockets.ts'

/** In the order in which their findings are told. */
const PROBES: Readonly<Record<string, Probe>> = {
  proxy: probeProxy,
  tcp: probeTcp,
  udp: probeUdp,
  dns: probeDns,
  raw: probeRaw,
  loopback: probeLoopback,
  gateway: probeGateway,
  metadata: probeMetadata,
  control: probeControl,
  unix: probeUnixSockets,
  files: probeFiles,
  processes: probeProcesses,
  environment: probeEnvironment,
  capabilities: probeCapabilities,
}
const TIMEOUT_MS = 9000

/** Tries everything. @returns the findings of all probes; each probe has at least one */
export async function probeInside(around: Surroundings): Promise<readonly Finding[]> {
  const deadline = AbortSignal.timeout(TIMEOUT_MS)
  const lists = await Promise.all(
    Object.entries(PROBES).map(([name, probe]) => bounded(name, probe(around), deadline)),
  )
  const findings = lists.flat()
  return [...findings, ...judgeRoutes(around, findings)]
}

function bounded(
  name: string,
  running: Promise<readonly Finding[]>,
  deadline: AbortSignal,
): Promise<readonly Finding[]> {
  const { promise, resolve } = Promise.withResolvers<readonly Finding[]>()
  const give = (happened: string): void => resolve([unfinished(name, happened)])
  deadline.addEventListener('abort', () => give(`not done within ${TIMEOUT_MS / 1000} s`))
  running.then(resolve, (error: unknown) => give(`failed: ${String(error)}`))
  return promise
}

function unfinished(check: string, happened: string): Finding {
  const means = 'nothing is proved by it'
  return { check, status: 'fail', tried: 'this probe', happened, means, mend: 'run it again' }
}
