// What the program's reader accepts, put to another reader: the questions, and where the answers are not the same. Not a test
// itself; used by `run.ts`.

import type { Heard, Hearing, Oracle, Question } from './oracle.ts'
import { cut, type Conversation, type Message } from './own-reader.ts'

/** Where two readers part. */
export interface Difference {
  readonly oracle: Oracle['name']
  /**
   * `refused`: it reads no further, where ours does. `early`, `late`: the message ends elsewhere. `more`: it goes on where ours
   * has ended. The others: that part is not the same.
   */
  readonly kind: 'refused' | 'early' | 'late' | 'more' | 'start' | 'headers' | 'body' | 'trailers'
  /** As ours reads it. */
  readonly message: Message
  /** The one before it on the connection. */
  readonly before: Message | undefined
  readonly heard: Heard | undefined
  /** In the oracle's words. */
  readonly words: string
  /** Of the request, where the message is a response. */
  readonly method: string | undefined
  readonly question: Question
}

/** A question, and what ours says to it. */
export interface Probe {
  readonly question: Question
  readonly expected: readonly Message[]
  /** `cut-short`: a byte is missing, so the last message must not be whole. `refused`: ours refused the rest of the last one. */
  readonly kind: 'whole' | 'cut-short' | 'partial' | 'refused'
  /** Whether it was written anew, as it would be passed on. */
  readonly isPassedOn?: true
}

const SENTINEL = Buffer.from('GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n')

/** The questions to ask about what ours accepted of `bytes`; none where it accepted nothing. */
export function makeProbes(
  bytes: Buffer,
  cuts: readonly number[],
  ours: Conversation,
  method: string | undefined,
): Probe[] {
  const probes: Probe[] = []
  const whole = ours.messages.filter((message) => message.isWhole)
  const partial = ours.messages.find((message) => !message.isWhole)
  const last = whole.at(-1)
  const ask = (asked: Buffer, isEnded: boolean): Question => ({
    pieces: cut(
      asked,
      cuts.filter((at) => at < asked.length),
    ),
    method,
    isEnded,
  })
  if (last) {
    const { end } = last
    const goesOn = method === undefined && last.keeps && !last.switches
    const read = bytes.subarray(0, end)
    const asked = goesOn ? Buffer.concat([read, SENTINEL]) : read
    const expected = goesOn ? [...whole, sentinel(asked.length)] : whole
    probes.push({ question: ask(asked, !last.isDelimited), expected, kind: 'whole' })
    if (last.isDelimited)
      probes.push({
        question: ask(read.subarray(0, -1), false),
        expected: whole,
        kind: 'cut-short',
      })
  }
  if (partial)
    probes.push({
      question: ask(bytes, true),
      expected: [...whole, partial],
      kind: ours.refused ? 'refused' : 'partial',
    })
  return probes
}

/** The first thing that is not the same; undefined where all is. */
export function compare(
  { question, expected, kind }: Probe,
  hearing: Hearing,
  oracle: Oracle['name'],
): Difference | undefined {
  const total = question.pieces.reduce((sum, { length }) => sum + length, 0)
  const { method } = question
  const last = expected.length - 1
  const words = hearing.refused ?? ''
  const differs = (at: number, what: Difference['kind']): Difference => ({
    oracle,
    kind: what,
    message: expected[at]!,
    before: expected[at - 1],
    heard: hearing.messages[at],
    words,
    method,
    question,
  })
  if (kind === 'cut-short')
    return hearing.messages[last]?.isWhole === true ? differs(last, 'early') : undefined
  for (const [at, message] of expected.entries()) {
    const heard = hearing.messages[at]
    if (heard === undefined) return differs(at, hearing.refused === undefined ? 'late' : 'refused')
    const isLoose = kind === 'refused' && at === last
    const part = differingPart(message, heard, isLoose)
    if (part !== undefined)
      return differs(
        at,
        part === 'body' && hearing.refused !== undefined ? bodyKind(message, heard) : part,
      )
    if (isLoose) continue
    if (message.isWhole && !heard.isWhole)
      return differs(at, hearing.refused === undefined ? 'late' : 'refused')
    if (!message.isWhole && heard.isWhole) return differs(at, 'early')
    if (message.isWhole && heard.left >= 0 && heard.left !== total - message.end)
      return differs(at, heard.left > total - message.end ? 'early' : 'late')
  }
  if (kind === 'whole' && hearing.messages.length > expected.length) return differs(last, 'more')
  return undefined
}

// A body that the other refused within is shorter there: that is its refusal.
function bodyKind(message: Message, heard: Heard): 'refused' | 'body' {
  return message.body.toString('latin1').startsWith(heard.body) ? 'refused' : 'body'
}

function differingPart(
  { start, headers, body, trailers, isWhole }: Message,
  heard: Heard,
  isLoose: boolean,
): 'start' | 'headers' | 'body' | 'trailers' | undefined {
  if (!isSame(start, heard.start)) return 'start'
  if (!isSame(headers, heard.headers)) return 'headers'
  const text = body.toString('latin1')
  if (isLoose)
    return text.startsWith(heard.body) || heard.body.startsWith(text) ? undefined : 'body'
  if (text !== heard.body) return 'body'
  return isWhole && heard.isWhole && !isSame(trailers, heard.trailers) ? 'trailers' : undefined
}

function isSame(ours: readonly string[], others: readonly string[]): boolean {
  return ours.length === others.length && ours.every((text, at) => text === others[at])
}

function sentinel(end: number): Message {
  return {
    start: ['GET', '/sentinel', '1.1'],
    headers: ['Host', 'sentinel'],
    body: Buffer.alloc(0),
    trailers: [],
    isWhole: true,
    isDelimited: true,
    keeps: true,
    switches: false,
    end,
  }
}
