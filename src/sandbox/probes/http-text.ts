// HTTP as the probes speak it: one request as text, one answer read from bytes. Deliberately lenient and without a body's
// codings: it looks for what only the sidecar says. Pure. Called by the probes beside.

import { OWN_HOST } from '../../wire/own-host.ts'

/** An answer as far as it came. */
export interface HttpAnswer {
  readonly status: number
  /** Values by lower-case name; of a repeated field the last. */
  readonly fields: ReadonlyMap<string, string>
  readonly body: string
}

/** Writes a GET that is answered by the connection's end. @param fields each `Name: value` */
export function getRequest(target: string, host: string, fields: readonly string[] = []): string {
  return [`GET ${target} HTTP/1.1`, `Host: ${host}`, ...fields, 'Connection: close', '', ''].join(
    '\r\n',
  )
}

/** Reads an answer; undefined where the bytes are none. */
export function readAnswer(bytes: Buffer): HttpAnswer | undefined {
  const text = bytes.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  const [first = '', ...lines] = (end < 0 ? text : text.slice(0, end)).split('\r\n')
  const status = /^HTTP\/1\.[01] ([1-5]\d\d)(?: |$)/.exec(first)?.[1]
  if (status === undefined) return undefined
  const fields = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  return { status: Number(status), fields, body: end < 0 ? '' : text.slice(end + 4) }
}

/** Whether an answer has come whole, where it says how long it is. */
export function isWhole(bytes: Buffer): boolean {
  const answer = readAnswer(bytes)
  const length = answer?.fields.get('content-length')
  return answer !== undefined && length !== undefined && answer.body.length >= Number(length)
}

/** The reason of a refusal of the sidecar's; undefined where it is no such refusal. @see RFC 9209 section 2 */
export function refusalReason(answer: HttpAnswer): string | undefined {
  const status = answer.fields.get('proxy-status') ?? ''
  if (answer.status < 400 || !/^sallyport\s*;/.test(status)) return undefined
  return /;\s*reason=([\w-]{1,64})/.exec(status)?.[1] ?? 'refused'
}

/** The id of the task that an answer of the envelope names; undefined where it is no such answer. */
export function envelopeTask({ status, body }: HttpAnswer): string | undefined {
  if (status !== 200) return undefined
  const value = jsonOf(body)
  const id = memberOf(value, 'id')
  const isTask = memberOf(value, 'state') !== undefined && memberOf(value, 'intent') !== undefined
  return typeof id === 'string' && isTask ? id : undefined
}

/** Whether an answer is one of the operators' control API, whatever it lets its caller do. */
export function isOfControl({ status, fields, body }: HttpAnswer): boolean {
  if (body.includes('Sallyport control API')) return true
  const value = jsonOf(body)
  if (Array.isArray(memberOf(value, 'tasks'))) return true
  // Its refusals name a reason, and no call: those of the proxy do.
  const reason = memberOf(value, 'reason')
  return (
    status >= 400 &&
    !fields.has('proxy-status') &&
    memberOf(value, 'type') === `urn:sallyport:reason:${String(reason)}` &&
    memberOf(value, 'call') === undefined
  )
}

/** The request by which the sidecar is known: what only it answers. @param login what proves the task */
export function envelopeRequest(form: 'absolute' | 'origin', login?: string): string {
  const target = form === 'absolute' ? `http://${OWN_HOST}/v1/task` : '/v1/task'
  return getRequest(
    target,
    OWN_HOST,
    login === undefined ? [] : [`Proxy-Authorization: Basic ${login}`],
  )
}

/** Text as JSON; undefined where it is none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A member of an object; undefined where there is none. */
export function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined
}
