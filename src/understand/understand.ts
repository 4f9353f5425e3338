// The stage understood: reads what a rule looks into, asks the rules again with it, and leaves on the call what stands between
// its two parties from then on. Where no rule looks inside, a question to a model is read for the record as it flows by.
// Called by `pipeline.ts`.

import type { ClientSide } from '../call.ts'
import { EgressError } from '../errors.ts'
import { joinChunks, readWhole, replayBody } from '../inspect/whole-body.ts'
import type { Verdict } from '../judge.ts'
import type { Inspector } from '../policy/subject.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY, type Body } from '../wire/body.ts'
import { readGit, recogniseGitCall } from './git.ts'
import { readGraphqlPost, readGraphqlQuery } from './graphql.ts'
import {
  decideReading,
  makeInspection,
  readFault,
  type Reading,
  type Screened,
  type WholeCall,
} from './inspection.ts'
import { openMcpStream, readMcpPost } from './mcp.ts'
import { readModelQuestion, tapModelCall } from './model.ts'

/** Reads a body as one kind of thing; undefined where it is none. @throws EgressError what is wrong with it */
type Reader = (whole: WholeCall) => Reading | undefined

const READERS: Readonly<Record<Exclude<Inspector, 'git'>, Reader>> = {
  mcp: readMcpPost,
  model: readModelQuestion,
  graphql: readGraphqlPost,
}

/**
 * Reads a call as far as rules or records need.
 * @returns the decision on what was read; undefined where the head's stands
 */
export function understand(
  { call, verdict }: { readonly call: Screened; readonly verdict: Verdict },
  client: ClientSide,
  parts: Parts,
): Promise<Verdict> | undefined {
  const { decision } = verdict
  if (decision.verdict === 'deny') return undefined
  if (decision.inspectors !== undefined) return readInside(call, decision.inspectors, client, parts)
  tapModelCall(call, client.body, parts)
  return undefined
}

async function readInside(
  call: Screened,
  inspectors: readonly Inspector[],
  client: ClientSide,
  parts: Parts,
): Promise<Verdict> {
  const { request } = call
  if (request.expectsContinue) client.sendContinue()
  return decideReading(call, await readRequest(call, inspectors, client.body, parts))
}

async function readRequest(
  call: Screened,
  inspectors: readonly Inspector[],
  source: Body,
  parts: Parts,
): Promise<Reading> {
  if (inspectors.includes('git')) {
    const git = recogniseOr(() => recogniseGitCall(call.request))
    if (git instanceof EgressError) return readFault(git, makeInspection({ body: source }))
    if (git) return readGit(call, git, source, parts)
  }
  // Where one is posted, nothing is no message either.
  if (source.length === 0 && call.request.method !== 'POST')
    return readBodiless(call, inspectors, parts)
  const { inspectBytesMax } = parts.limits
  const { chunks, isWhole } = await readWhole(source, inspectBytesMax)
  const body = replayBody(chunks, source)
  const fault = new EgressError('body-too-large', { bytesMax: inspectBytesMax })
  if (!isWhole) return readFault(fault, makeInspection({ body }))
  return readWholeBody({ call, bytes: joinChunks(chunks), body, parts }, inspectors)
}

// The first that knows what the bytes are has read them; what none of them can read is a fault.
async function readWholeBody(whole: WholeCall, inspectors: readonly Inspector[]): Promise<Reading> {
  let fault: Reading | undefined
  for (const inspector of inspectors) {
    if (inspector === 'git') continue
    const reading = tryReading(() => READERS[inspector](whole), whole.body)
    if (reading !== undefined && reading.fault === undefined) return reading
    fault ??= reading
  }
  return fault ?? { content: {}, inspection: makeInspection({ body: whole.body }) }
}

function readBodiless(call: Screened, inspectors: readonly Inspector[], parts: Parts): Reading {
  const stream = inspectors.includes('mcp') ? openMcpStream(call, parts) : undefined
  if (stream) return stream
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
