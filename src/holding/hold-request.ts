// The stage cleared of an HTTP call that a rule holds: its body is read whole, and it waits until a person lets it through.
// Nothing upstream is open while it waits. An answer counts for the call as it is judged then. Called by `pipeline.ts`.

import type { Call, ClientSide, Decided, Received, UnreadSocket } from '../call.ts'
import { EgressError } from '../errors.ts'
import { canonicalJson } from '../inspect/canonical.ts'
import type { JsonValue } from '../inspect/fields.ts'
import { isObject, type JsonObject } from '../inspect/json-values.ts'
import type { McpMessage } from '../inspect/mcp/messages.ts'
import { joinChunks, readWhole, replayBody } from '../inspect/whole-body.ts'
import { judge, uphold, type Verdict } from '../judge.ts'
import { digestCall } from '../ledger/holds/digest.ts'
import type { Parts } from '../stages.ts'
import { makeInspection } from '../understand/inspection.ts'
import { watchHeld } from '../understand/understand.ts'
import { makeUlid } from '../wire/ulid.ts'
import { basisOf } from './basis.ts'
import { describeRequest } from './describe.ts'
import { joinHold } from './join-hold.ts'

type Held = Call & Received & Decided

const NOTHING = new Uint8Array()
/** What a client of MCP makes anew each time it says the same, below `_meta`. */
const VOLATILE_META: ReadonlySet<string> = new Set(['progressToken', 'traceparent', 'tracestate'])

/**
 * Waits until a person lets a call through.
 * @param client undefined where the call has no body
 * @param socket where nobody reads it meanwhile: of an upgrade
 * @throws body-too-large, approval-pending, approval-denied, approval-timeout, quota-exceeded, or what changed meanwhile
 */
export async function holdRequest(
  call: Held,
  verdict: Verdict,
  client: ClientSide | undefined,
  parts: Parts,
  socket?: UnreadSocket,
): Promise<void> {
  const bytes = client === undefined ? NOTHING : await readHeldBody(call, client, parts)
  const { policy } = call.decision
  // Reading may have taken long (I8).
  const decision = judgeAgain(call, verdict, parts)
  // Other rules may look at what was not read.
  if (decision.policy !== policy || decision.inspectors !== undefined)
    throw new EgressError('approval-denied', { why: 'changed' })
  if (decision.verdict === 'allow') return
  const { hold: terms, rule } = decision
  if (terms === undefined || rule === undefined)
    throw new EgressError('approval-denied', { why: 'changed' })
  const { messages } = verdict
  const basis = basisOf(decision)
  await joinHold(call, parts, {
    asked: {
      task: call.identity.task,
      digest: digestOf(call, bytes, messages),
      basis,
      rule,
      terms,
      describe: () => describeRequest(call, { bytes, messages }, parts),
    },
    judgeBasis: () => basisOf(judgeAgain(call, verdict, parts)),
    socket,
  })
}

/**
 * Judges a held call as things are now.
 * @throws the reason where the task may do nothing any more, or the rules deny
 */
function judgeAgain(call: Held, { again }: Verdict, parts: Parts): Held['decision'] {
  const { request } = call
  call.renew(parts.identifier.identify(call.arrival, request.headers))
  const verdict = again?.() ?? judge(call.identity, request, undefined)
  call.decideAgain(verdict.decision, makeUlid(Date.now()), verdict.us)
  uphold(call, verdict, parts)
  return verdict.decision
}

// What is approved is what is sent: the bytes wait here, and count as the task's.
async function readHeldBody(call: Held, client: ClientSide, parts: Parts): Promise<Uint8Array> {
  const { inspection, request, decision } = call
  const source = inspection?.body ?? client.body
  if (source.length === 0) return NOTHING
  if (request.expectsContinue) client.sendContinue()
  const { bodyBytesMax = Infinity } = decision.obligations
  const bytesMax = Math.min(parts.limits.holdBodyBytes, bodyBytesMax)
  const { chunks, isWhole } = await readWhole(source, bytesMax, (bytes) =>
    parts.shares.hold(call, bytes),
  )
  if (!isWhole) throw new EgressError('body-too-large', { bytesMax })
  const body = replayBody(chunks, source, (bytes) => parts.shares.letGo(call, bytes))
  if (inspection) call.inspection = { ...inspection, body }
  else {
    call.inspection = makeInspection({ body })
    await watchHeld(call, body, parts)
  }
  return joinChunks(chunks)
}

function digestOf(
  { request }: Held,
  bytes: Uint8Array,
  messages: readonly McpMessage[] | undefined,
): string {
  const { method, scheme, endpoint, path, query, headers, upgrade } = request
  return digestCall({
    kind: upgrade ? 'upgrade' : 'request',
    method,
    scheme,
    endpoint,
    path: path.raw,
    query,
    headers,
    body: messages === undefined ? bytes : canonicalJson(messages.map(meaningOf)),
  })
}

// A client numbers its requests: the same one again has another id, and other tokens of progress and trace.
function meaningOf(message: McpMessage): JsonObject {
  if (message.kind === 'response') return message.value
  const { id: _id, ...said } = message.value
  const { params } = said
  return isObject(params) ? { ...said, params: withoutVolatile(params) } : said
}

function withoutVolatile(params: JsonObject): JsonValue {
  const { _meta: meta, ...rest } = params
  if (!isObject(meta)) return params
  const kept = Object.entries(meta).filter(([name]) => !VOLATILE_META.has(name))
  return { ...rest, _meta: Object.fromEntries(kept) }
}
