// The operators' API, from inside: where the variables and the configuration say it is, where it usually is, on the proxy's own
// address, and through the proxy. Nothing of it may answer (I6). Called by `inside.ts`.

import { OWN_HOST } from '../../wire/own-host.ts'
import { reporterFor, type Finding } from '../finding.ts'
import { getRequest, isOfControl } from './http-text.ts'
import { identifyListener } from './listeners.ts'
import { askHttp, placeOf, type Endpoint } from './ours.ts'
import type { Probe } from './probe.ts'
import type { Surroundings } from './surroundings.ts'

const { ok, fail } = reporterFor('control')

const PATHS = ['/openapi.json', '/v1/tasks']
const USUAL_PORTS = [15021, 8443, 3129]
const MEND =
  'let `control.listen` be a unix socket outside of the sandbox, or an address that it does not reach'
const MEANS = 'the control API is reached from the sandbox (I6)'

/** Tries all places; unix sockets are tried among the others, by their own probe. */
export const probeControl: Probe = async (around) => {
  const endpoints = controlEndpoints(around)
  return (
    await Promise.all([
      ...endpoints.map((endpoint) => tryEndpoint(endpoint, around)),
      ...(around.proxy === undefined ? [] : [tryProxy(around.proxy, endpoints, around)]),
    ])
  ).flat()
}

function controlEndpoints({ environment, files, proxy }: Surroundings): Endpoint[] {
  const written = [environment['SALLYPORT_CONTROL'] ?? '', files.controlAddress ?? '']
  const named = written.flatMap((text) => endpointOf(text) ?? [])
  const hosts = ['127.0.0.1', ...(proxy === undefined ? [] : [proxy.host])]
  const usual = hosts.flatMap((host) => USUAL_PORTS.map((port) => ({ host, port })))
  const unique = new Map([...named, ...usual].map((one) => [`${one.host} ${one.port}`, one]))
  return [...unique.values()]
}

function endpointOf(text: string): Endpoint | undefined {
  const match = /^(?:https?:\/\/)?(?:\[([^\]]+)\]|([^:[\]/]+)):(\d{1,5})\/?$/.exec(text)
  return match === null ? undefined : { host: match[1] ?? match[2] ?? '', port: Number(match[3]) }
}

async function tryEndpoint(endpoint: Endpoint, around: Surroundings): Promise<Finding> {
  const tried = `the control API at ${endpoint.host}, port ${endpoint.port}`
  const { kind, how } = await identifyListener(endpoint, around)
  return kind === 'control'
    ? fail(tried, how, MEANS, MEND)
    : ok(tried, kind === 'none' ? how : `not it: ${how}`, 'not reached')
}

/** The data listener never serves it, and takes nobody to it. */
async function tryProxy(
  proxy: NonNullable<Surroundings['proxy']>,
  endpoints: readonly Endpoint[],
  { roots }: Surroundings,
): Promise<Finding[]> {
  const place = placeOf(proxy, roots)
  const fields = proxy.login === undefined ? [] : [`Proxy-Authorization: Basic ${proxy.login}`]
  const own = `${proxy.host.includes(':') ? `[${proxy.host}]` : proxy.host}:${proxy.port}`
  const bases = [own, OWN_HOST, ...endpoints.map(({ host, port }) => `${host}:${port}`).slice(0, 2)]
  const asked = PATHS.flatMap((path) => [
    { tried: `${path} of the proxy itself`, target: path, host: own },
    ...bases.map((base) => ({
      tried: `http://${base}${path} through the proxy`,
      target: `http://${base}${path}`,
      host: base,
    })),
  ])
  return Promise.all(
    asked.map(async ({ tried, target, host }) => {
      const answer = await askHttp(place, getRequest(target, host, fields))
      if (answer !== undefined && isOfControl(answer))
        return fail(tried, `answered ${answer.status}`, MEANS, MEND)
      return ok(tried, answer === undefined ? 'no answer' : `answered ${answer.status}`, 'not it')
    }),
  )
}
