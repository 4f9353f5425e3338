// The one way that must be open: the proxy that the variables name answers as the sidecar. Without it nothing is proved: a
// sandbox with no network at all passes every other probe. Called by `inside.ts`, first.

import { reporterFor, type Finding } from '../finding.ts'
import { envelopeRequest } from './http-text.ts'
import { askHttp, httpOrigin, placeOf, provesOurs } from './ours.ts'
import type { Probe } from './probe.ts'
import type { Surroundings } from './surroundings.ts'

const { ok, fail } = reporterFor('proxy')

const MEND =
  'start the sidecar, give the sandbox the variables of `sallyport env`, and let its address be reached'

/** Asks the proxy who it is; without variables, whoever intercepts. */
export const probeProxy: Probe = async (around) => [
  around.proxy === undefined
    ? await findInterception(around)
    : await askProxy(around.proxy, around),
]

async function askProxy(
  proxy: NonNullable<Surroundings['proxy']>,
  around: Surroundings,
): Promise<Finding> {
  const tried = `the proxy at ${proxy.host}, port ${proxy.port}`
  const answer = await askHttp(
    placeOf(proxy, around.roots),
    envelopeRequest('absolute', proxy.login),
  )
  const how = provesOurs(answer)
  if (how !== undefined) return ok(tried, how, 'the one way out')
  const happened =
    answer === undefined ? 'no answer' : `answered ${answer.status}, not as the sidecar`
  return fail(tried, happened, 'nothing is proved: the sidecar itself is not reached', MEND)
}

async function findInterception({ targets }: Surroundings): Promise<Finding> {
  const origins = await Promise.all(targets.map((host) => httpOrigin({ host, port: 80 })))
  const ours = origins.find(({ kind }) => kind === 'ours')
  return ours?.kind === 'ours'
    ? ok('plain HTTP to any address', ours.how, 'the one way out')
    : fail(
        'plain HTTP to any address',
        'not answered by the sidecar, and no variable names a proxy',
        'nothing is proved: the sidecar itself is not reached',
        MEND,
      )
}
