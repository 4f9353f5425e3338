// Refusals in git's own words, so that the client at the other end prints them: an error packet where it waits for references
// or objects, a report on each reference where it pushed. The status is 200, since git shows nothing of an answer that is
// not; `Proxy-Status` says what it is. Only the table's words and what was checked are sent. Pure; called where a call of
// `recogniseGit` is refused.

import { REASONS, type Reason } from '../../errors.ts'
import { refusalHeaders } from '../../wire/proxy-status.ts'
import type { PushCapabilities } from './command-list.ts'
import { FLUSH, formatPktLine, PKT_BYTES_MAX } from './pkt-line.ts'
import type { GitRequest } from './request.ts'

/** An answer to git. */
export interface GitRefusal {
  readonly status: number
  /** A flat list, without framing. */
  readonly headers: readonly string[]
  readonly body: Buffer
}

/** What of a push is answered: as much as was read of it. */
export interface RefusedPush {
  readonly capabilities: PushCapabilities
  readonly subject: { readonly commands: readonly { readonly ref: string }[] }
}

/** What else a refusal says. */
export interface GitRefusalContext {
  readonly callId: string
  /** The references that the reason is about; the others of the push are said to be kept back with them. Absent: all. */
  readonly refusedRefs?: ReadonlySet<string>
}

const SIDE_BAND_BYTES_MAX = PKT_BYTES_MAX - 5
const REPORT_BAND = 1
const PROGRESS_BAND = 2
const ERROR_BAND = 3
const NOT_SENT = 'not sent: another update of this push was refused'

/**
 * The answer to a request of git that is refused. A client reads it once all of its own body has gone out.
 * @param push undefined where the body was not read or could not be
 */
export function refuseGit(
  request: GitRequest,
  push: RefusedPush | undefined,
  reason: Reason,
  context: GitRefusalContext,
): GitRefusal {
  const part = request.step === 'advertise' ? 'advertisement' : 'result'
  return {
    status: 200,
    headers: refusalHeaders(reason, `application/x-git-${request.service}-${part}`),
    body: writeBody(request, push, reason, context),
  }
}

function writeBody(
  { service, step }: GitRequest,
  push: RefusedPush | undefined,
  reason: Reason,
  context: GitRefusalContext,
): Buffer {
  const error = formatPktLine(`ERR ${describeReason(reason, context.callId)}`)
  if (step === 'advertise')
    return Buffer.concat([formatPktLine(`# service=git-${service}\n`), FLUSH, error])
  if (step === 'upload') return error
  // Every client of today asks for side bands; where nothing was read, that is the best guess.
  if (!push) return inBand(ERROR_BAND, Buffer.from(`${describeReason(reason, context.callId)}\n`))
  if (!push.capabilities.reportStatus) return error
  return writeReport(push, reason, context)
}

function writeReport(push: RefusedPush, reason: Reason, context: GitRefusalContext): Buffer {
  const lines = push.subject.commands.map(({ ref }) => {
    const isRefused = context.refusedRefs?.has(ref) ?? true
    return formatPktLine(`ng ${ref} ${isRefused ? `sallyport: ${reason}` : NOT_SENT}\n`)
  })
  const report = Buffer.concat([formatPktLine('unpack ok\n'), ...lines, FLUSH])
  if (!push.capabilities.sideBand) return report
  const { title, remedy } = REASONS[reason]
  const words = `sallyport: ${title} (call ${context.callId})\n${remedy}\n`
  return Buffer.concat([
    inBand(PROGRESS_BAND, Buffer.from(words)),
    inBand(REPORT_BAND, report),
    FLUSH,
  ])
}

function describeReason(reason: Reason, callId: string): string {
  const { title, remedy } = REASONS[reason]
  return `sallyport: ${reason}: ${title}. ${remedy} (call ${callId})`
}

function inBand(band: number, bytes: Buffer): Buffer {
  const packets: Buffer[] = []
  for (let at = 0; at < bytes.length; at += SIDE_BAND_BYTES_MAX) {
    const piece = bytes.subarray(at, at + SIDE_BAND_BYTES_MAX)
    packets.push(formatPktLine(Buffer.concat([Buffer.of(band), piece])))
  }
  return Buffer.concat(packets)
}
