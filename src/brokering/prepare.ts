// The stage prepared: the outgoing head with the credential in its place, and the body as it leaves. Called by `pipeline.ts`.

import type { Call, Cleared, ClientSide, Outgoing, Prepared, Received } from '../call.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import type { Secret } from '../credentials/secret.ts'
import { EgressError } from '../errors.ts'
import { finisherOf, type Finisher } from '../inject/finish.ts'
import { prepareHead, type PreparedHead } from '../inject/prepare.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY } from '../wire/body.ts'
import { guardBody, takeWhole, wholeBody } from './body.ts'

interface Added {
  readonly definition: CredentialDefinition
  readonly secret: Secret
}

/** Writes what leaves. @param client undefined: no body leaves @throws credential-unavailable, body-too-large */
export async function prepare<C extends Call & Received & Cleared>(
  call: C,
  client: ClientSide | undefined,
  parts: Parts,
): Promise<C & Prepared> {
  const { request, decision } = call
  const { credential: name } = decision.obligations
  const definition = name === undefined ? undefined : parts.credentials.definition(name)
  if (name !== undefined && definition === undefined)
    throw new EgressError('credential-unavailable', { credential: name })
  if (definition !== undefined) parts.onCredential(call.identity.standing, definition.name)
  const added = definition && {
    definition,
    secret: await parts.credentials.secretFor(call.identity.task, definition.name),
  }
  const head = prepareHead({
    headers: call.inspection?.rewriteHead(request.headers) ?? request.headers,
    path: request.path.raw,
    query: request.query,
    endpoint: request.endpoint,
    scheme: request.scheme,
    obligations: decision.obligations,
    addresses: decision.addresses,
    brokered: parts.credentials.definitionsFor(request.endpoint),
    ...(added && { credential: added }),
  })
  if (head.used) call.credential = head.used
  const finisher = added && finisherOf(added.definition.inject)
  const { headers, path } = head
  if (added === undefined || finisher === undefined) {
    const body = client ? guardBody(call, client, parts) : NO_BODY
    call.prepare({ headers, path, body, ...(added && { secret: added.secret }) })
  } else call.prepare(await finish(call, head, added, finisher, client, parts))
  return call
}

async function finish(
  call: Call & Received & Cleared,
  { headers, path }: PreparedHead,
  { definition, secret }: Added,
  finisher: Finisher,
  client: ClientSide | undefined,
  parts: Parts,
): Promise<Outgoing> {
  const { request, identity } = call
  const { inject, name } = definition
  const unfinished = {
    method: request.method,
    endpoint: request.endpoint,
    scheme: request.scheme,
    headers,
    path,
    asked: { headers: request.headers, query: request.query },
    placeholder: parts.credentials.placeholder(identity.task.id, name),
    credential: name,
    now: Date.now(),
    notAfter: identity.task.expiresAt,
  }
  const body = client ? guardBody(call, client, parts, name) : NO_BODY
  const isWhole = finisher.needsBody(inject, unfinished)
  if (isWhole && request.expectsContinue) client?.sendContinue()
  const bytes = isWhole ? await takeWhole(body, parts.limits.signedBodyBytesMax) : undefined
  const finished = finisher.finish(inject, unfinished, bytes, secret)
  const { through, certificate } = finished
  call.credential = { name, action: finished.isReplaced ? 'replaced' : 'injected' }
  const sent = finished.body ?? bytes
  const length = sent === undefined ? through?.length : sent.length
  return {
    headers: finished.headers,
    path: finished.path,
    body: sent === undefined ? (through?.wrap(body) ?? body) : wholeBody(sent, body.trailers),
    secret,
    ...(length !== undefined && { framing: { kind: 'length', length } }),
    ...(certificate && { certificate }),
  }
}
