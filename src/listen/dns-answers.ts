// What the DNS door says: addresses that stand for names which some rule of the client's task could allow, and nothing of any
// other. Nothing is asked of anybody, so that no name carries anything out. Every refusal is put on record first. Deliberately
// opens no socket: `dns-door.ts` does, and calls this.

import type { ClientAddress, Identity } from '../call.ts'
import { EgressError, REASONS, type Reason } from '../errors.ts'
import { TaskRefusal } from '../identify/identify.ts'
import { isNameWritten, mayAllowName } from '../policy/may-allow-name.ts'
import type { Parts } from '../stages.ts'
import type { Task } from '../tasks/task.ts'
import {
  EXTENDED_ERROR,
  RCODE,
  writeDnsAnswer,
  type DnsReply,
  type Rcode,
} from '../wire/dns-answer.ts'
import { readDnsQuery, type DnsQuery, type DnsQuestion } from '../wire/dns-query.ts'
import { DNS_CLASS_IN, DNS_TYPE, dnsClassName, dnsTypeName } from '../wire/dns-types.ts'
import { isOwnHost } from '../wire/own-host.ts'
import { isSyntheticReverse } from '../wire/synthetic-address.ts'
import type { GivenNames } from './given-names.ts'

/** What answering needs. */
export interface DnsAnswersOptions {
  readonly parts: Pick<Parts, 'identifier' | 'limits' | 'recorder' | 'switches' | 'onUnexpected'>
  readonly names: GivenNames
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** How a query came. */
export interface AskedBy {
  readonly client: ClientAddress
  readonly transport: 'udp' | 'tcp'
}

// RFC 6761 section 6.3.
const LOOPBACK = { ipv4: '127.0.0.1', ipv6: '::1' } as const
// Of clients that are not told anything, whatever they ask.
const STRANGERS: ReadonlySet<Reason> = new Set<Reason>([
  'unknown-client',
  'identity-missing',
  'identity-unknown',
  'identity-shared',
])
const RCODE_NAMES: Readonly<Record<Rcode, string>> = {
  [RCODE.noError]: 'NOERROR',
  [RCODE.formatError]: 'FORMERR',
  [RCODE.serverFailure]: 'SERVFAIL',
  [RCODE.nameError]: 'NXDOMAIN',
  [RCODE.notImplemented]: 'NOTIMP',
  [RCODE.refused]: 'REFUSED',
  [RCODE.badVersion]: 'BADVERS',
}

/** Answers the queries of one door. */
export class DnsAnswers {
  readonly #options: DnsAnswersOptions

  constructor(options: DnsAnswersOptions) {
    this.#options = options
  }

  /** The answer to a message, undefined where there is none to be given. Never throws. */
  answer(bytes: Uint8Array, asked: AskedBy): Uint8Array | undefined {
    const query = readDnsQuery(bytes)
    let task: Task | undefined
    try {
      const identity = this.#options.parts.identifier.identify({ client: asked.client }, [])
      task = identity.task
      if (query === undefined) throw new EgressError('malformed-header', { fault: 'no query' })
      return writeDnsAnswer(query, this.#replyTo(query, identity))
    } catch (error) {
      if (error instanceof TaskRefusal) task = error.task
      return this.#refuse(query, error, task, asked)
    }
  }

  // In the order in which less and less is the client's doing.
  #replyTo(query: DnsQuery, { task, policies }: Identity): DnsReply {
    const { parts, names, now } = this.#options
    const { question, opcode, edns, fault } = query
    if (opcode !== 0) throw new EgressError('protocol-not-allowed', { opcode })
    if (fault !== undefined || question === undefined)
      throw new EgressError('malformed-header', { fault: fault ?? 'question' })
    if (edns !== undefined && edns.version > 0)
      throw new EgressError('protocol-not-allowed', { edns: edns.version })
    if (question.class !== DNS_CLASS_IN)
      throw new EgressError('protocol-not-allowed', { class: question.class })
    // What is refused from here on could not be told to anybody.
    if (!parts.recorder.canRecord) throw new EgressError('audit-unavailable')
    const { host } = question
    if (host === undefined) throw new EgressError('malformed-target', { part: 'host' })
    if (host === 'localhost' || host.endsWith('.localhost')) return this.#tell(question, LOOPBACK)
    parts.switches.checkCall(host, undefined)
    if (isSyntheticReverse(host)) return { rcode: RCODE.noError }
    if (!isOwnHost(host) && !mayAllowName(policies, host, now()))
      throw new EgressError('not-on-allowlist')
    // Only what is told takes a place among the names that stand for addresses.
    if (question.type !== DNS_TYPE.a && question.type !== DNS_TYPE.aaaa)
      return { rcode: RCODE.noError }
    const isWritten = (): boolean => isOwnHost(host) || isNameWritten(policies, host)
    return this.#tell(question, names.addressesFor(task.id, host, isWritten))
  }

  // Whatever else is asked of a name that is there has an empty answer: no text, no service, no key of Encrypted Client Hello.
  #tell({ type }: DnsQuestion, { ipv4, ipv6 }: { ipv4: string; ipv6: string }): DnsReply {
    const ttlSeconds = Math.floor(this.#options.parts.limits.dnsAnswerMs / 1000)
    if (type === DNS_TYPE.a) return { rcode: RCODE.noError, address: ipv4, ttlSeconds }
    if (type === DNS_TYPE.aaaa) return { rcode: RCODE.noError, address: ipv6, ttlSeconds }
    return { rcode: RCODE.noError }
  }

  #refuse(
    query: DnsQuery | undefined,
    error: unknown,
    task: Task | undefined,
    { client, transport }: AskedBy,
  ): Uint8Array | undefined {
    const { parts } = this.#options
    if (!(error instanceof EgressError)) parts.onUnexpected(error, { id: 'dns' })
    const { reason, detail } = error instanceof EgressError ? error : new EgressError('internal')
    const question = query?.question
    const rcode = query && rcodeFor(query)
    parts.recorder.recordRefusedQuery({
      client,
      task,
      question: question && {
        name: question.name,
        type: dnsTypeName(question.type),
        class: dnsClassName(question.class),
      },
      reason,
      responseCode: rcode === undefined ? undefined : RCODE_NAMES[rcode],
      transport,
      detail,
    })
    if (query === undefined || rcode === undefined) return undefined
    const text = `sallyport: ${reason}: ${REASONS[reason].title}`
    return writeDnsAnswer(query, { rcode, extended: { code: extendedCode(reason), text } })
  }
}

// A name that does not exist is what every client takes at its word: REFUSED and SERVFAIL are asked again, for seconds.
function rcodeFor({ opcode, fault, question, edns }: DnsQuery): Rcode {
  if (opcode !== 0) return RCODE.notImplemented
  if (fault !== undefined || question === undefined) return RCODE.formatError
  if (edns !== undefined && edns.version > 0) return RCODE.badVersion
  return question.class === DNS_CLASS_IN ? RCODE.nameError : RCODE.refused
}

function extendedCode(reason: Reason): number {
  if (STRANGERS.has(reason)) return EXTENDED_ERROR.prohibited
  return REASONS[reason].status >= 500 ? EXTENDED_ERROR.notReady : EXTENDED_ERROR.blocked
}
