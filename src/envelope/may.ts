// Whether a call would be let through: the question as a live call asks it, put to the same rules by the same code, and the
// answer in the words of a refusal. Says no more than the call itself would be told. Called by `envelope.ts`.

import type { Identity } from '../call.ts'
import { EgressError, REASONS, type Reason } from '../errors.ts'
import { decideConnectTogether, decideTogether } from '../policy/conjunction.ts'
import type { Decision } from '../policy/decision.ts'
import { askAbout, CALL_PATTERN, type Asked } from '../policy/written-call.ts'
import { isOwnHost, ownHostFault } from '../wire/own-host.ts'

/** A call as it is asked about, in normal form. */
export interface AskedCall {
  readonly method: string
  readonly url: string
  readonly asked: Asked
}

/** What would become of a call. */
export interface MayView {
  readonly method: string
  readonly url: string
  readonly verdict: 'allow' | 'deny' | 'hold'
  readonly reason: Reason
  readonly title: string
  /** Of the refusal; absent where it would be let through. */
  readonly status?: number
  readonly retry?: string
  readonly remedy?: string
  /** What is inside the call decides, too. */
  readonly dependsOnContent?: true
}

/** Whether something is switched off. @throws EgressError killed */
export type CheckSwitches = (host: string, credential: string | undefined) => void

const URL_CHARACTERS_MAX = 2048

/**
 * Reads a call as an agent writes it: a method, and a URL or, for CONNECT, `HOST:PORT`.
 * @throws EgressError the reason for which the call itself would be refused before any rule is asked
 */
export function readAsked(method: string, written: string): AskedCall {
  // Targets are ASCII; what stands for something else is escaped as every client does it.
  const url = written
    .toWellFormed()
    .replaceAll(/[^\0-\u007F]+/gu, (characters) => encodeURIComponent(characters))
  if (url.length > URL_CHARACTERS_MAX) throw new EgressError('malformed-target', { part: 'length' })
  if (!CALL_PATTERN.test(`${method} ${url}`)) throw new EgressError('malformed-request-line')
  if (method === 'TRACE') throw new EgressError('method-not-allowed')
  const asked = askAbout(method, url, [])
  return { method, url: normalUrl(asked), asked }
}

/** Decides about a call that was read. */
export function decideAsked(
  { method, url, asked }: AskedCall,
  { policies, moment }: Pick<Identity, 'policies' | 'moment'>,
  checkSwitches: CheckSwitches,
): MayView {
  const endpoint = 'connect' in asked ? asked.connect : asked.endpoint
  if (isOwnHost(endpoint.host)) {
    const scheme = 'connect' in asked ? 'http' : asked.scheme
    const fault = ownHostFault(endpoint, scheme)
    return viewOf({ method, url }, fault === undefined ? 'allow' : 'deny', fault ?? 'allowed')
  }
  const decision =
    'connect' in asked
      ? decideConnectTogether(policies, endpoint, moment())
      : decideTogether(policies, asked, moment())
  const reason = reasonOf(decision, endpoint.host, checkSwitches)
  const verdict = reason === decision.reason ? decision.verdict : 'deny'
  const view = viewOf({ method, url }, verdict, reason)
  return decision.inspectors === undefined ? view : { ...view, dependsOnContent: true }
}

/** What a call would be told that could not even be read. */
export function refuseAsked(method: string, url: string, error: unknown): MayView {
  if (!(error instanceof EgressError)) throw error
  return viewOf({ method, url: url.slice(0, URL_CHARACTERS_MAX) }, 'deny', error.reason)
}

function reasonOf(
  { verdict, reason, obligations: { credential } }: Decision,
  host: string,
  checkSwitches: CheckSwitches,
): Reason {
  if (verdict === 'deny') return reason
  try {
    checkSwitches(host, credential)
    return reason
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}

function viewOf(
  asked: Pick<MayView, 'method' | 'url'>,
  verdict: MayView['verdict'],
  reason: Reason,
): MayView {
  const { title, status, retry, remedy } = REASONS[reason]
  if (verdict === 'allow')
    return { ...asked, verdict, reason, title: 'this call would be let through' }
  return { ...asked, verdict, reason, title, status, retry, remedy }
}

function normalUrl(asked: Asked): string {
  const { host, port } = 'connect' in asked ? asked.connect : asked.endpoint
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  if ('connect' in asked) return authority
  const { scheme, upgrade, path, query } = asked
  const isUsual = port === (scheme === 'https' ? 443 : 80)
  const shown = isUsual ? authority.slice(0, authority.lastIndexOf(':')) : authority
  const word = upgrade ? (scheme === 'https' ? 'wss' : 'ws') : scheme
  return `${word}://${shown}${path.raw}${query === undefined ? '' : `?${query}`}`
}
