// A realtime session with a model over a WebSocket, read for the record as it flows by: nothing is changed and nothing waits, but
// that the handshake offers no compression. Called, through `taps.ts`, by `understand.ts`.

import { EgressError } from '../errors.ts'
import type { InspectedFields } from '../inspect/fields.ts'
import type { ModelApi } from '../inspect/model/api.ts'
import { modelFields } from '../inspect/model/fields.ts'
import { RealtimeSession } from '../inspect/model/realtime.ts'
import { FrameReader, type FrameReaderOptions } from '../inspect/websocket.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY, type RawHeaders } from '../wire/body.ts'
import { makeInspection, type Screened } from './inspection.ts'
import { keeperFor, modeOf } from './keeping.ts'

const EXTENSIONS = 'sec-websocket-extensions'

/** Leaves on a call what reads a realtime session as it flows by. */
export function tapRealtimeCall(api: ModelApi, call: Screened, parts: Parts): void {
  const exchange = new RealtimeExchange(api, call, parts)
  call.inspection = makeInspection({
    body: NO_BODY,
    rewriteHead: withoutExtensions,
    frames: {
      sent: (bytes) => exchange.sent.push(bytes),
      received: (bytes) => exchange.received.push(bytes),
    },
    finish: () => exchange.finish(),
  })
}

class RealtimeExchange {
  readonly sent: FrameReader
  readonly received: FrameReader
  readonly #call: Screened
  readonly #parts: Parts
  readonly #session: RealtimeSession

  constructor(api: ModelApi, call: Screened, parts: Parts) {
    this.#call = call
    this.#parts = parts
    const { tapBytesMax } = parts.limits
    const session = new RealtimeSession(api, tapBytesMax)
    this.#session = session
    const room: Pick<FrameReaderOptions, 'messageBytesMax' | 'takeRoom' | 'giveRoom'> = {
      messageBytesMax: tapBytesMax,
      takeRoom: (bytes) => this.#mayHold(bytes),
      giveRoom: (bytes) => parts.shares.letGo(call, bytes),
    }
    this.sent = new FrameReader({
      ...room,
      from: 'client',
      onText: (text) => session.takeAsked(text),
    })
    this.received = new FrameReader({
      ...room,
      from: 'server',
      onText: (text) => session.takeAnswered(text),
    })
  }

  finish(): void {
    const { sent, received } = this
    const { decision, identity, cleared } = this.#call
    sent.stop()
    received.stop()
    if (cleared !== true) return
    const session = this.#session
    const unread = sent.unread ?? received.unread ?? (session.isCut ? 'too-large' : undefined)
    const fields = modelFields(session.question(), session.answer(unread), {
      keeper: keeperFor({ identity }, this.#parts),
      mode:
        decision === undefined
          ? this.#parts.record.prompts
          : modeOf(decision, 'prompts', this.#parts),
    })
    this.#call.inspected = withSession(fields, session)
  }

  #mayHold(bytes: number): boolean {
    try {
      this.#parts.shares.hold(this.#call, bytes)
      return true
    } catch (error) {
      if (error instanceof EgressError) return false
      throw error
    }
  }
}

function withSession(fields: InspectedFields, session: RealtimeSession): InspectedFields {
  const { sessionId, responses } = session
  return {
    ...fields,
    gen_ai: {
      ...fields.gen_ai,
      ...(sessionId !== undefined && { conversation: { id: sessionId } }),
    },
    content: { ...fields.content, ...(responses.length > 0 && { responses }) },
  }
}

function withoutExtensions(headers: RawHeaders): RawHeaders {
  const kept: string[] = []
  for (let at = 0; at < headers.length; at += 2)
    if (headers[at]!.toLowerCase() !== EXTENSIONS) kept.push(headers[at]!, headers[at + 1]!)
  return kept
}
