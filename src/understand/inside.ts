// Reads what a rule looks into, asks the rules again with it, and leaves on the call what stands between its two parties from
// then on. Loaded by `understand.ts` when a call needs it.

import type { ClientSide } from '../call.ts'
import { EgressError } from '../errors.ts'
import { readJsonBody } from '../inspect/json-body.ts'
import { resemblesJsonRpc } from '../inspect/mcp/resemblance.ts'
import { joinChunks, readWhole, replayBody } from '../inspect/whole-body.ts'
import { findOverride, judge, type Verdict } from '../judge.ts'
import type { Inspector } from '../policy/subject.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY, type Body } from '../wire/body.ts'
import { readGit, recogniseGitCall } from './git.ts'
import { readGraphqlPost, readGraphqlQuery } from './graphql.ts'
import {
  decideReading,
  makeInspection,
  readFault,
  renewRules,
  type Reading,
  type Screened,
  type WholeCall,
} from './inspection.ts'
import { openMcpStream, readMcpPost } from './mcp.ts'
import { readModelQuestion } from './model.ts'
import { isOfTwoKinds, TWO_KINDS } from './two-kinds.ts'

const NOTHING = new Uint8Array()
const OPTIONAL: readonly Inspector[] = ['body', 'git']

/** Reads a body as one kind of thing; undefined where it is none. @throws EgressError what is wrong with it */
type Reader = (whole: WholeCall) => Reading | undefined

const READERS: Readonly<Record<Exclude<Inspector, 'git' | 'body'>, Reader>> = {
  mcp: readMcpPost,
  model: readModelQuestion,
  graphql: readGraphqlPost,
}

/** Reads what rules look into and asks them again. @throws whatever breaks the body off */
export async function readInside(
  call: Screened,
  inspectors: readonly Inspector[],
  client: ClientSide,
  parts: Parts,
): Promise<Verdict> {
  const { request } = call
  if (request.expectsContinue) client.sendContinue()
  const verdict = decideReading(call, await readRequest(call, inspectors, client.body, parts))
  if (verdict.contents) parts.shares.hold(call, call.heldBytes, verdict.contents)
  return verdict
}

async function readRequest(
  call: Screened,
  inspectors: readonly Inspector[],
  source: Body,
  parts: Parts,
): Promise<Reading> {
  const override = findOverride(call.request)
  if (override !== undefined)
    return readFault(
      new EgressError('method-not-allowed', { override }),
      makeInspection({ body: source }),
    )
  if (inspectors.includes('git')) {
    const git = recogniseOr(() => recogniseGitCall(call.request))
    if (git instanceof EgressError) return readFault(git, makeInspection({ body: source }))
    if (git) return readGit(call, git, source, parts)
  }
  // Where one is posted, nothing is no message either.
  if (source.length === 0 && call.request.method !== 'POST')
    return readBodiless(call, inspectors, parts)
  const { shares, limits } = parts
  // Conditions can do without a body; what looks into it cannot.
  const isOptional = mayBeUnread(inspectors)
  const bytesMax = isOptional ? limits.conditionBodyBytesMax : limits.inspectBytesMax
  const hold = (bytes: number): void => shares.hold(call, bytes)
  const { chunks, isWhole } = await readWhole(source, bytesMax, hold)
  const body = replayBody(chunks, source, (bytes) => shares.letGo(call, bytes))
  if (!isWhole && !isOptional) return readFault(tooLarge(bytesMax), makeInspection({ body }))
  const whole: WholeCall = { call, bytes: isWhole ? joinChunks(chunks) : NOTHING, body, parts }
  const { policies } = call.identity
  renewRules(call, parts)
  if (call.identity.policies === policies) return readWholeBody(whole, inspectors)
  const verdict = judge(call.identity, call.request, undefined)
  const { inspectors: wanted } = verdict.decision
  // Changed rules need not look inside any more.
  if (verdict.decision.verdict === 'deny' || wanted === undefined)
    return { content: {}, inspection: makeInspection({ body }), verdict }
  if (!isWhole && !mayBeUnread(wanted))
    return readFault(tooLarge(bytesMax), makeInspection({ body }))
  return readWholeBody(whole, wanted)
}

// By now it is known to be no request of git.
function mayBeUnread(inspectors: readonly Inspector[]): boolean {
  return inspectors.includes('body') && inspectors.every((kind) => OPTIONAL.includes(kind))
}

function tooLarge(bytesMax: number): EgressError {
  return new EgressError('body-too-large', { bytesMax })
}

// What conditions read goes beside whatever else the bytes are.
function readWholeBody(read: WholeCall, inspectors: readonly Inspector[]): Reading {
  const { call, bytes, parts } = read
  const { conditionBodyBytesMax } = parts.limits
  const json = inspectors.includes('body')
    ? readJsonBody(call.request.headers, bytes, conditionBodyBytesMax)
    : undefined
  if (json === undefined) return readKind(read, inspectors)
  const reading = readKind({ ...read, json }, inspectors)
  return { ...reading, content: { ...reading.content, body: json } }
}

// The first that knows what the bytes are has read them; what none of them can read is a fault.
function readKind(whole: WholeCall, inspectors: readonly Inspector[]): Reading {
  let fault: Reading | undefined
  for (const inspector of inspectors) {
    if (inspector === 'git' || inspector === 'body') continue
    const reading = tryReading(() => READERS[inspector](whole), whole.body)
    if (reading !== undefined && reading.fault === undefined)
      return checkKind(reading, inspectors, whole)
    // One that is marked as a message is none of another kind, whatever other keys it has.
    if (reading && inspector === 'mcp' && resemblesJsonRpc(whole.call.request.headers, whole.bytes))
      return reading
    fault ??= reading
    // What could be a question is not read as something else.
    if (reading !== undefined && inspector === 'model') break
  }
  return fault ?? { content: {}, inspection: makeInspection({ body: whole.body }) }
}

function checkKind(
  reading: Reading,
  inspectors: readonly Inspector[],
  { call, bytes, body }: Pick<WholeCall, 'call' | 'bytes' | 'body'>,
): Reading {
  if (!isOfTwoKinds(reading.content, inspectors, call.request, bytes)) return reading
  const fault = new EgressError(TWO_KINDS.fault, { part: 'kinds' })
  return readFault(fault, makeInspection({ body }))
}

function readBodiless(call: Screened, inspectors: readonly Inspector[], parts: Parts): Reading {
  const stream = inspectors.includes('mcp') ? openMcpStream(call, parts) : undefined
  if (stream) return checkKind(stream, inspectors, { call, bytes: NOTHING, body: NO_BODY })
  const query = inspectors.includes('graphql')
    ? tryReading(() => readGraphqlQuery(call, parts), NO_BODY)
    : undefined
  return query ?? { content: {}, inspection: makeInspection({ body: NO_BODY }) }
}

// What cannot be told apart is returned, not thrown.
function recogniseOr<Value>(recognise: () => Value): Value | EgressError {
  try {
    return recognise()
  } catch (error) {
    if (error instanceof EgressError) return error
    throw error
  }
}

function tryReading(read: () => Reading | undefined, body: Body): Reading | undefined {
  const reading = recogniseOr(read)
  return reading instanceof EgressError ? readFault(reading, makeInspection({ body })) : reading
}
