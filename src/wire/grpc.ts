// gRPC as a proxy has to know it: which calls are of it, and a refusal in its words: an answer of trailers alone. Pure; called by
// `listen/answer.ts` and `forward/`.

import { REASONS, type Reason, type Wait } from '../errors.ts'
import type { RawHeaders } from './body.ts'
import { firstValue } from './headers.ts'
import { adviceFor, refusalHeaders } from './proxy-status.ts'

const CONTENT_TYPE = /^application\/grpc(?:[+;]|$)/i
// Of what stands for a call that could not be made; a refusal is none of these.
const STATUS_OF: ReadonlyMap<number, number> = new Map([
  [500, 13],
  [502, 14],
  [503, 14],
  [504, 4],
])
const PERMISSION_DENIED = 7
const NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

/** Whether fields are those of a gRPC request or answer. @see gRPC over HTTP2, Requests */
export function isGrpc(headers: RawHeaders): boolean {
  return CONTENT_TYPE.test(firstValue(headers, 'content-type') ?? '')
}

/** The code by which a gRPC client is told a reason: 7 for a refusal, else what it would make of the status by itself. */
export function grpcStatusOf(reason: Reason): number {
  return STATUS_OF.get(REASONS[reason].status) ?? PERMISSION_DENIED
}

/** The name of a code in `grpc-status`; undefined where it is none. */
export function grpcStatusName(code: string | undefined): string | undefined {
  return code !== undefined && /^\d{1,2}$/.test(code) ? NAMES[Number(code)] : undefined
}

/**
 * The fields of an answer of trailers alone: token, what to do and the call's id are in its message.
 * @param wait how long there is to wait, where it is known
 */
export function grpcRefusal(reason: Reason, callId: string, wait?: Wait): string[] {
  const { remedy } = adviceFor(reason, wait)
  const message = `Sallyport: ${reason}: ${REASONS[reason].title}. ${remedy} (call ${callId})`
  return [
    ...refusalHeaders(reason, 'application/grpc'),
    'grpc-status',
    String(grpcStatusOf(reason)),
    'grpc-message',
    encodeMessage(message),
  ]
}

// Bytes outside printable ASCII and the percent sign (gRPC over HTTP2, Responses).
function encodeMessage(text: string): string {
  let encoded = ''
  for (const byte of Buffer.from(text))
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  return encoded
}
