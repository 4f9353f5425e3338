// Calls to AWS whose answer is a credential of their own: the sandbox would hold it, beyond the task and past every rule. They
// are not signed. Deliberately a short list of what is meant to hand out the keys themselves; what else gives away secrets is
// for rules to deny. Called by `sign-aws.ts`.

import { decodePercent } from '../wire/percent.ts'
import { isObjectStore } from '../wire/sigv4.ts'
import { splitQuery } from './query.ts'

/** What STS may be asked: it tells, and gives nothing. */
const STS_ACTIONS: ReadonlySet<string> = new Set([
  'GetCallerIdentity',
  'GetAccessKeyInfo',
  'DecodeAuthorizationMessage',
])

/**
 * Whether the answer to a call would be keys.
 * @param body whole where the service is STS
 */
export function givesKeys(
  service: string,
  { path, query }: { readonly path: string; readonly query: string | undefined },
  body: Uint8Array | undefined,
): boolean {
  if (service === 'sts') return !isHarmless(path, query, body)
  return isObjectStore(service) && splitQuery(query ?? '').some(({ name }) => name === 'session')
}

// One action, said in one place: what two readers could read differently is not harmless.
function isHarmless(
  path: string,
  query: string | undefined,
  body: Uint8Array | undefined,
): boolean {
  const form = Buffer.from(body ?? []).toString('latin1')
  const said = [...splitQuery(query ?? ''), ...splitQuery(form)].filter(
    ({ name }) => name.toLowerCase() === 'action',
  )
  return path === '/' && said.length === 1 && STS_ACTIONS.has(decodePercent(said[0]!.value))
}
