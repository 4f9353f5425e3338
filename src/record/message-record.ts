// Records of messages: each one inside a call that was judged by itself, and the count of those that came in a flood.
// Pure. Called by `recorder.ts` and `message-flood.ts`.

import type { Call, Message } from '../call.ts'
import type { Reason } from '../errors.ts'
import type { RecordBody } from './body.ts'
import { callRecord, eventRecord } from './ecs.ts'
import { decisionFacts, factsOf, modeOf } from './facts.ts'

const CATEGORY = ['web', 'api'] as const
const ALLOWED = ['allowed', 'info'] as const
const DENIED = ['denied'] as const

/** Whether a message does not leave: the rules deny it, or nobody has let it through. */
export function isRefused({ hold }: Call, { decision }: Message): boolean {
  return decision.verdict === 'deny' || (decision.verdict === 'hold' && hold?.by === undefined)
}

/** Why a message leaves or does not: of one that a person is asked about, what came of it. */
export function messageReason(call: Call, message: Message): Reason {
  const { verdict, reason } = message.decision
  if (verdict !== 'hold') return reason
  return isRefused(call, message) ? call.reason : 'allowed'
}

/**
 * Builds the record of a message: where its call goes and whose it is, with the message's own decision and content.
 * @param now epoch milliseconds
 */
export function messageRecord(call: Call, message: Message, now: number): RecordBody {
  const { id, direction, kind, decision } = message
  const isAllowed = !isRefused(call, message)
  const record = callRecord(
    {
      ...factsOf(call),
      mode: modeOf(call.task, decision),
      decision: {
        ...decisionFacts(message.decisionId, decision, message.decisionUs),
        // What a server says is no send, whatever was read.
        read: direction === 'to-server' ? call.read : undefined,
      },
      reason: messageReason(call, message),
      request: undefined,
      headers: undefined,
      response: undefined,
      clientTls: undefined,
      detail: message.detail,
      message: { id, direction, kind },
      inspected: message.fields,
      trace: message.trace ?? call.trace,
    },
    'call-progress',
    now,
  )
  return {
    ...record,
    event: {
      ...record.event,
      category: CATEGORY,
      action: isAllowed ? 'message-allowed' : 'message-denied',
      type: isAllowed ? ALLOWED : DENIED,
      outcome: outcomeOf(message, isAllowed),
      duration: undefined,
    },
  }
}

// What a request comes to, only its response tells.
function outcomeOf({ kind, fields }: Message, isAllowed: boolean): RecordBody['event']['outcome'] {
  if (!isAllowed) return 'failure'
  if (kind !== 'response') return 'unknown'
  return fields.error === undefined ? 'success' : 'failure'
}

/** How many messages came beyond those that got a record of their own. */
export interface MessageCounts {
  readonly requests: number
  readonly notifications: number
  readonly responses: number
  /** Epoch milliseconds. */
  readonly from: number
  /** Epoch milliseconds. */
  readonly to: number
}

/**
 * Builds the record that counts messages instead of telling each.
 * @param now epoch milliseconds
 */
export function repeatedMessagesRecord(
  call: Call,
  { requests, notifications, responses, from, to }: MessageCounts,
  now: number,
): RecordBody {
  const endpoint = call.request?.endpoint
  return eventRecord('message-allowed-repeated', {
    now,
    callId: call.id,
    ...(call.task && { task: call.task }),
    ...(endpoint && { endpoint }),
    detail: {
      count: requests + notifications + responses,
      kinds: {
        request: requests,
        notification: notifications,
        ...(responses > 0 && { response: responses }),
      },
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
    },
  })
}
