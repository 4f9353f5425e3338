// The stage prepared: the outgoing head with the credential in its place, and the body as it leaves. Called by `pipeline.ts`.

import type { Call, Cleared, ClientSide, Outgoing, Prepared, Received } from '../call.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import type { Secret } from '../credentials/secret.ts'
import { EgressError } from '../errors.ts'
import { bodyPlacesOf, dropFromBody, isInBody } from '../inject/drop-from-body.ts'
import { finisherOf, type Finished, type Finisher, type Unfinished } from '../inject/finish.ts'
import { prepareHead, type PreparedHead } from '../inject/prepare.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY, type Body } from '../wire/body.ts'
import type { CanonicalRequest } from '../wire/receive.ts'
import { guardBody, holdsText, takeWhole, tellPlaceholder, wholeBody } from './body.ts'
import { narrowForCapture } from './capture.ts'
import { keepBody } from './kept-body.ts'
import { askReadably } from './readable.ts'

interface Added {
  readonly definition: CredentialDefinition
  readonly secret: Secret
  readonly placeholder: string
}

/** What is done once the head is written. */
interface Last {
  readonly head: PreparedHead
  readonly added: Added | undefined
  readonly finisher: Finisher | undefined
  /** Places in the body that the client must not fill. */
  readonly dropped: ReturnType<typeof bodyPlacesOf>
  /** The credential on record where something was dropped. */
  readonly whose: string | undefined
}

const NO_PLACES: Last['dropped'] = []

/** Writes what leaves. @param client undefined: no body leaves @throws credential-unavailable, body-too-large, malformed-body */
export async function prepare<C extends Call & Received & Cleared>(
  call: C,
  client: ClientSide | undefined,
  parts: Parts,
): Promise<C & Prepared> {
  const added = await addedTo(call, parts)
  const body = client ? guardBody(call, client, parts, placedInBody(added)) : NO_BODY
  // Kept only where a refusal may have another value come of it.
  const mayRepeat = added !== undefined && parts.credentials.mayChange(added.definition.name)
  if (client === undefined || !mayRepeat) {
    call.prepare(await writeOutgoing(call, added, body, client, parts))
    return call
  }
  const kept = keepBody(call, body, parts)
  const remake = async (secret: Secret): Promise<Outgoing | undefined> => {
    const again = kept.again()
    return again && writeOutgoing(call, { ...added, secret }, again, client, parts)
  }
  const written = writeOutgoing(call, added, kept.body, client, parts)
  const outgoing = written instanceof Promise ? await written : written
  call.prepare({ ...outgoing, repeat: { remake, forget: kept.forget } })
  return call
}

async function addedTo(
  { decision, identity }: Call & Cleared,
  parts: Parts,
): Promise<Added | undefined> {
  const { credential: name } = decision.obligations
  if (name === undefined) return undefined
  const definition = parts.credentials.definition(name)
  if (definition === undefined)
    throw new EgressError('credential-unavailable', { credential: name })
  // I3: what is valid beyond the task is not for this call, whoever's rule gives it.
  if (decision.obligations.static === false && parts.credentials.isStatic(name))
    throw new EgressError('credential-unavailable', { credential: name, why: 'static' })
  parts.onCredential(identity.standing, name)
  return {
    definition,
    secret: await parts.credentials.secretFor(identity.task, name),
    // Derived where it is asked for: most places have no use for it.
    get placeholder(): string {
      return parts.credentials.placeholder(identity.task.id, name)
    },
  }
}

// A placeholder in a body is alright where its own credential goes into one.
function placedInBody(added: Added | undefined): string | undefined {
  return added && isInBody(added.definition.inject) ? added.definition.name : undefined
}

function writeOutgoing(
  call: Call & Received & Cleared,
  added: Added | undefined,
  body: Body,
  client: ClientSide | undefined,
  parts: Parts,
): Outgoing | Promise<Outgoing> {
  const { request, decision } = call
  const brokered = parts.credentials.definitionsFor(request.endpoint)
  const judged = call.inspection?.rewriteHead(request.headers) ?? request.headers
  const asked = narrowForCapture(call, judged, client === undefined, parts)
  const head = prepareHead({
    headers: askReadably(call, asked, added?.definition.inject, parts),
    path: request.path.raw,
    query: request.query,
    endpoint: request.endpoint,
    scheme: request.scheme,
    obligations: decision.obligations,
    addresses: decision.addresses,
    brokered,
    ...(added && { credential: added }),
  })
  if (head.used) call.credential = head.used
  const finisher = added && finisherOf(added.definition.inject)
  const dropped =
    brokered.length === 0 || decision.obligations.clientAuth === 'pass'
      ? NO_PLACES
      : bodyPlacesOf(brokered, head.headers, added?.definition)
  if (finisher !== undefined || dropped.length > 0) {
    const whose = added?.definition.name ?? brokered[0]?.name
    return finish(call, { head, added, finisher, dropped, whose }, body, client, parts)
  }
  const { headers, path } = head
  return { headers, path, body, ...(added && { secret: added.secret }) }
}

async function finish(
  call: Call & Received & Cleared,
  { head, added, finisher, dropped, whose }: Last,
  body: Body,
  client: ClientSide | undefined,
  parts: Parts,
): Promise<Outgoing> {
  const { request } = call
  const { secret } = added ?? {}
  const own = placedInBody(added)
  const unfinished = unfinishedOf(call, head, added, parts)
  const isAsked = added !== undefined && finisher?.needsBody(added.definition.inject, unfinished)
  const isWhole = isAsked === true || (dropped.length > 0 && body.length !== 0)
  if (isWhole && request.expectsContinue) client?.sendContinue()
  let bytes = isWhole ? await takeWhole(call, body, parts) : undefined
  if (bytes !== undefined && dropped.length > 0) {
    const edited = dropFromBody(dropped, head.headers, bytes)
    ;({ bytes } = edited)
    if (edited.stood && whose !== undefined) call.credential ??= { name: whose, action: 'dropped' }
  }
  const onGiven = (count: number): void => parts.shares.letGo(call, count)
  const source = bytes === undefined ? body : wholeBody(bytes, body.trailers, onGiven)
  if (added === undefined || finisher === undefined || secret === undefined)
    return {
      ...outgoingOf(request, head, source, bytes?.length),
      ...(secret && { secret }),
    }
  const { inject, name } = added.definition
  const finished = finisher.finish(inject, unfinished, isAsked === true ? bytes : undefined, secret)
  const { through, certificate, body: sent } = finished
  call.credential = { name, action: finished.isReplaced ? 'replaced' : 'injected' }
  if (own !== undefined && sent && holdsText(sent, added.placeholder))
    tellPlaceholder(call, parts, own)
  const leaving =
    sent === undefined ? (through?.wrap(source) ?? source) : wholeBody(sent, body.trailers, onGiven)
  const length = sent?.length ?? through?.length ?? bytes?.length
  return {
    ...outgoingOf(request, finished, leaving, length),
    secret,
    ...(certificate && { certificate }),
  }
}

function unfinishedOf(
  { request, identity }: Call & Received & Cleared,
  { headers, path }: PreparedHead,
  added: Added | undefined,
  { credentials }: Parts,
): Unfinished {
  const name = added?.definition.name ?? ''
  return {
    method: request.method,
    endpoint: request.endpoint,
    scheme: request.scheme,
    headers,
    path,
    asked: { headers: request.headers, query: request.query },
    placeholder: added?.placeholder ?? '',
    placeholderOf: (part) => credentials.placeholder(identity.task.id, name, part),
    credential: name,
    now: Date.now(),
    notAfter: identity.task.expiresAt,
  }
}

// What never had a body says nothing of its length.
function outgoingOf(
  { framing }: CanonicalRequest,
  { headers, path }: Pick<Finished, 'headers' | 'path'>,
  body: Body,
  length: number | undefined,
): Outgoing {
  const isSaid = length !== undefined && (length > 0 || framing.kind !== 'none')
  return { headers, path, body, ...(isSaid && { framing: { kind: 'length', length } }) }
}
