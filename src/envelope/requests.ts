// A task asks people for a call: its body read and bounded, the call put into normal form and decided, the agent's words made
// harmless. Who keeps the queue is handed in. Called by `envelope.ts`.

import type { Call, ClientSide, Identified, Received } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import { joinChunks, readWhole } from '../inspect/whole-body.ts'
import { escapeUnprintable } from '../record/printable.ts'
import type { Task } from '../tasks/task.ts'
import type { RequestView } from '../tasks/view.ts'
import { parseJson } from '../wire/parse-json.ts'
import { problem, type OwnAnswer } from './answers.ts'
import { readAsked, type AskedCall, type MayView } from './may.ts'

/** The queue as this room asks for it. */
export interface RequestQueue {
  listOf(taskId: string): readonly RequestView[]
  /** @throws EgressError quota-exceeded, busy */
  open(
    task: Task,
    asked: { readonly method: string; readonly url: string; readonly reason: string },
    verdict: { readonly verdict: RequestView['verdict']; readonly reason: Reason },
  ): RequestView
  /** Resolves when what was opened is on record. */
  recorded(): Promise<void>
}

interface Written {
  readonly method: string
  readonly url: string
  readonly reason: string
}

const BODY_BYTES_MAX = 16 * 1024
const REASON_CHARACTERS_MAX = 1000
const MEMBERS = ['method', 'url', 'reason'] as const
const EXPECTED =
  'Send JSON with exactly three texts: "method", "url" and "reason", the reason of 1 to 1000 characters.'

/**
 * Opens a request, or answers with the one that is open for the same call.
 * @throws EgressError body-too-large, quota-exceeded, busy; what breaks the body off
 */
export async function openRequest(
  call: Call & Received & Identified,
  client: ClientSide,
  requests: RequestQueue,
  decide: (asked: AskedCall) => MayView,
): Promise<OwnAnswer> {
  const { task } = call.identity
  const written = readWritten(await readBody(call, client))
  if (written === undefined) return problem(400, EXPECTED)
  let asked: AskedCall
  try {
    asked = readAsked(written.method, written.url)
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    return problem(400, `No such call can be made: ${error.message}.`)
  }
  const { verdict, reason } = decide(asked)
  if (verdict === 'allow')
    return problem(400, 'This call would be let through: make it, nobody has to be asked.')
  const known = new Set(requests.listOf(task.id).map(({ id }) => id))
  const said = escapeUnprintable(written.reason.replaceAll(/\s+/g, ' ').trim())
  const opened = requests.open(
    task,
    { method: asked.method, url: asked.url, reason: said },
    { verdict, reason },
  )
  await requests.recorded()
  return { status: known.has(opened.id) ? 200 : 201, content: viewForAgent(opened) }
}

/** A request as the task that opened it may read it: who answered is not its business. */
export function viewForAgent({
  id,
  state,
  method,
  url,
  openedAt,
  closedAt,
  answer,
}: RequestView): object {
  return {
    id,
    state,
    method,
    url,
    openedAt,
    ...(closedAt !== undefined && { closedAt }),
    ...(answer !== undefined && { answer }),
  }
}

async function readBody(call: Call & Received, client: ClientSide): Promise<string> {
  if (call.request.expectsContinue) client.sendContinue()
  const { chunks, isWhole } = await readWhole(client.body, BODY_BYTES_MAX, (bytes) => {
    call.bytesOut += bytes
  })
  if (!isWhole) throw new EgressError('body-too-large', { bytesMax: BODY_BYTES_MAX })
  return Buffer.from(joinChunks(chunks)).toString('utf8')
}

function readWritten(text: string): Written | undefined {
  let value: unknown
  try {
    value = parseJson(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const members = new Map<string, unknown>(Object.entries(value))
  const [method, url, reason] = MEMBERS.map((name) => members.get(name))
  if (members.size !== MEMBERS.length) return undefined
  if (typeof method !== 'string' || typeof url !== 'string' || typeof reason !== 'string')
    return undefined
  const isSaid = reason.trim() !== '' && reason.length <= REASON_CHARACTERS_MAX
  return isSaid ? { method, url, reason } : undefined
}
