// Calls that are answered here instead of by a metadata service or a token endpoint: only for a task whose rules lead to the
// credential that is asked for, only what is asked of that place in the usual way, and with placeholders. Dials nothing; whatever
// else is sent there is judged as any call is. The pipeline branches here and writes the one record.

import type { Call, ClientSide, Identified, Identity, Received, UpstreamResponse } from '../call.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import { placesOf, type StandInPlace } from '../credentials/stand-ins.ts'
import { EgressError } from '../errors.ts'
import { identifyRequest, settleOwn } from '../judge.ts'
import { meetObligations } from '../ledger/clear.ts'
import { credentialsOf } from '../policy/reachable.ts'
import type { CallScope, Parts } from '../stages.ts'
import { NO_BODY } from '../wire/body.ts'
import { valuesOf } from '../wire/headers.ts'
import type { CanonicalRequest } from '../wire/receive.ts'
import { wholeBody } from './body.ts'
import { answerQuestion, type StandInAnswer } from './stand-in-answers.ts'

const TTL_HEADER = 'x-aws-ec2-metadata-token-ttl-seconds'
/** Of a question: it is read so that the connection goes on, and means nothing. */
const QUESTION_BYTES_MAX = 64 * 1024

/** An answer that is ready, and the credential that it is for. */
interface StandIn {
  readonly definition: CredentialDefinition
  readonly answer: StandInAnswer
}

/** Where a credential may be asked for. */
interface Meant {
  readonly definition: CredentialDefinition
  readonly place: StandInPlace
}

/**
 * Answers a call that is stood in for.
 * @returns whether it was one; undefined where it goes to no place that could be
 * @throws EgressError of the stages identified to cleared; client-gone
 */
export function answerInstead(
  received: Call & Received,
  scope: CallScope,
  client: ClientSide,
  parts: Parts,
): Promise<boolean> | undefined {
  const { request } = received
  if (scope.refusal !== undefined || request.upgrade) return undefined
  const meant = parts.credentials.standIns().flatMap((definition): Meant[] => {
    const place = placeOf(definition, request)
    return place === undefined ? [] : [{ definition, place }]
  })
  return meant.length === 0 ? undefined : answerMeant(received, meant, scope, client, parts)
}

async function answerMeant(
  received: Call & Received,
  meant: readonly Meant[],
  scope: CallScope,
  client: ClientSide,
  parts: Parts,
): Promise<boolean> {
  const found = await findStandIn(received, meant, parts)
  if (found === undefined) return false
  const { definition, answer } = found
  const call: Call & Received & Identified = identifyRequest(received, scope, parts)
  const { request, identity } = call
  const decided = settleOwn(call)
  parts.switches.checkCall(request.endpoint.host, definition.name)
  call.credential = { name: definition.name, action: 'answered' }
  await meetObligations(decided, parts.recorder, parts.tools.quotas)
  call.clear()
  parts.onCredential(identity.standing, definition.name)
  if (request.expectsContinue) client.sendContinue()
  await readQuestion(call, client)
  const response = responseOf(answer)
  call.noteResponse(response)
  await client.sendResponse(response)
  return true
}

async function findStandIn(
  received: Call & Received,
  meant: readonly Meant[],
  parts: Parts,
): Promise<StandIn | undefined> {
  const { request } = received
  const proof = parts.identifier.prove(received.arrival, request.headers)
  if (proof) await proof
  const identity = parts.identifier.identify(received.arrival, request.headers)
  for (const { definition, place } of meant) {
    if (!leadsTo(identity, definition.name)) continue
    const answer = ask(definition, place, request, identity, parts)
    if (answer !== undefined) return { definition, answer }
  }
  return undefined
}

function placeOf(
  { answers = {} }: CredentialDefinition,
  { scheme, endpoint, path, query }: CanonicalRequest,
): StandInPlace | undefined {
  return placesOf(answers).find(
    (place) =>
      place.scheme === scheme &&
      place.endpoint.host === endpoint.host &&
      place.endpoint.port === endpoint.port &&
      (place.path === undefined || place.path === path.raw) &&
      query === undefined,
  )
}

// The rules of those above it lead there too, or it is none of its business.
function leadsTo({ policies }: Identity, name: string): boolean {
  return policies.every((policy) => credentialsOf(policy).includes(name))
}

function ask(
  definition: CredentialDefinition,
  { kind }: StandInPlace,
  { method, path, headers }: CanonicalRequest,
  { task }: Identity,
  { credentials }: Parts,
): StandInAnswer | undefined {
  return answerQuestion({
    definition,
    kind,
    method,
    path: path.raw,
    ttl: valuesOf(headers, TTL_HEADER)[0],
    placeholderOf: (part) => credentials.placeholder(task.id, definition.name, part),
    now: Date.now(),
    endsAt: task.expiresAt,
  })
}

// What a client says of itself in it stays here.
async function readQuestion(call: Call, { body }: ClientSide): Promise<void> {
  for (let bytes = 0; ;) {
    const chunk = body.read()
    if (chunk === null) return
    if (chunk === undefined) {
      await body.wait()
      continue
    }
    bytes += chunk.length
    call.bytesOut += chunk.length
    if (bytes > QUESTION_BYTES_MAX)
      throw new EgressError('body-too-large', { bytesMax: QUESTION_BYTES_MAX })
  }
}

function responseOf({ status, type, text, headers = [] }: StandInAnswer): UpstreamResponse {
  const bytes = Buffer.from(text)
  return {
    status,
    statusText: status === 200 ? 'OK' : 'Bad Request',
    headers: ['Content-Type', type, 'Cache-Control', 'no-store', ...headers],
    length: bytes.length,
    body: bytes.length === 0 ? NO_BODY : wholeBody(bytes, []),
  }
}
