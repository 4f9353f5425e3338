// Calls to AWS whose answer is a credential of their own: the sandbox would hold it, beyond the task and past every rule. They
// are not signed. Deliberately a short list of what is meant to hand out the keys themselves; what else gives away secrets is
// for rules to deny. Called by `sign-aws.ts`.

import { decodePercent } from '../wire/percent.ts'
import { isObjectStore } from '../wire/sigv4.ts'
import { readHeaderName } from './header-name.ts'
import { splitQuery, type QueryPart } from './query.ts'

/** What STS may be asked: it tells, and gives nothing. */
const STS_ACTIONS: ReadonlySet<string> = new Set([
  'GetCallerIdentity',
  'GetAccessKeyInfo',
  'DecodeAuthorizationMessage',
])

/** What gives keys, whatever service it is signed for: one signature's scope is another server's business. */
const KEY_ACTION =
  /^(?:AssumeRole\w*|AssumeRoot|GetSessionToken|GetFederationToken|CreateAccessKey)$/i
const ACCESS_GRANTS = /\/accessgrantsinstance\/dataaccess/i
const FORM = /^\s*application\/x-www-form-urlencoded\s*(?:;\s*charset=\S+\s*)?$/i

/** A call as it would leave. */
export interface AwsCall {
  readonly path: string
  readonly query: string | undefined
  readonly headers: readonly string[]
}

/**
 * Whether the answer to a call would be keys.
 * @param body whole where the service is STS, and where the host may be of any service
 */
export function givesKeys(service: string, call: AwsCall, body: Uint8Array | undefined): boolean {
  const parts = splitQuery(call.query ?? '')
  if (saysKeyAction(parts) || saysKeyAction(splitQuery(textOf(body)))) return true
  if (service === 'sts') return !isHarmless(call, body)
  if (!isObjectStore(service)) return false
  return (
    ACCESS_GRANTS.test(decodePercent(call.path)) || parts.some(({ name }) => name === 'session')
  )
}

// One action, said in one place: what two readers could read differently is not harmless.
function isHarmless({ path, query, headers }: AwsCall, body: Uint8Array | undefined): boolean {
  const form = textOf(body)
  if (form.includes(';') || !isPlain(headers, form !== '')) return false
  const said = [...splitQuery(query ?? ''), ...splitQuery(form)].filter(
    ({ name }) => name.toLowerCase() === 'action',
  )
  return path === '/' && said.length === 1 && STS_ACTIONS.has(decodePercent(said[0]!.value))
}

// Some servers part at semicolons too.
function saysKeyAction(parts: readonly QueryPart[]): boolean {
  return parts
    .flatMap(({ text }) => splitQuery(text, ';'))
    .some(
      ({ name, value }) =>
        name.trim().toLowerCase() === 'action' && KEY_ACTION.test(decodePercent(value).trim()),
    )
}

function isPlain(headers: readonly string[], hasBody: boolean): boolean {
  let types = 0
  for (let at = 0; at < headers.length; at += 2) {
    const name = readHeaderName(headers[at]!)
    if (name === 'x-amz-target' || name === 'content-encoding') return false
    if (name !== 'content-type') continue
    types += 1
    if (!FORM.test(headers[at + 1] ?? '')) return false
  }
  return types === 1 || (types === 0 && !hasBody)
}

function textOf(body: Uint8Array | undefined): string {
  return Buffer.from(body ?? []).toString('latin1')
}
