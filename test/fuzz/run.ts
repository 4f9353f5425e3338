// Runs cases of a seed through the program's reader and puts all it accepts to the other readers. Not a test itself; used by
// `http1.ts` and `http1.test.ts`.

import { compare, makeProbes, type Difference, type Probe } from './compare.ts'
import { REQUESTS, RESPONSES } from './corpus.ts'
import { EXPLANATIONS } from './explained.ts'
import { generateCuts, generateRequests, generateResponse, Random } from './generate.ts'
import type { Oracle } from './oracle.ts'
import { cut, readRequests, readResponse, type Conversation } from './own-reader.ts'
import { rewriteRequest, rewriteResponse } from './rewrite.ts'

/** What a run has come to. */
export interface Tally {
  cases: number
  /** Cases of which ours accepted at least one head. */
  accepted: number
  /** Messages accepted as a whole. */
  messages: number
  /** Of those, written anew and read again. */
  rewritten: number
  /** Answers compared, by oracle. */
  readonly compared: Map<string, number>
  /** Explained differences, by the name of the row. */
  readonly explained: Map<string, number>
  /** What nothing explains, and inputs that mean something else when they are cut. */
  readonly failures: string[]
}

/** What is to be run. */
export interface RunOptions {
  readonly seed: number
  readonly oracles: readonly Oracle[]
  /** Whether to go on; asked between batches. */
  readonly goesOn: (tally: Tally) => boolean
}

const BATCH_CASES = 100
const FAILURES_MAX = 20
const METHODS = ['GET', 'GET', 'GET', 'POST', 'HEAD']

interface Case {
  readonly text: string
  /** Of the request, where the text is a response. */
  readonly method: string | undefined
  readonly cuts: readonly number[]
}

/** Runs the corpus, then what the seed makes. */
export async function runFuzz({ seed, oracles, goesOn }: RunOptions): Promise<Tally> {
  const random = new Random(seed)
  const tally: Tally = {
    cases: 0,
    accepted: 0,
    messages: 0,
    rewritten: 0,
    compared: new Map(oracles.map(({ name }) => [name, 0])),
    explained: new Map(),
    failures: [],
  }
  const corpus: Case[] = [
    ...REQUESTS.map((text) => ({ text, method: undefined, cuts: [] })),
    ...RESPONSES.map((text) => ({ text, method: 'GET', cuts: [] })),
    ...RESPONSES.map((text) => ({ text, method: 'HEAD', cuts: [] })),
  ]
  await runBatch(corpus, oracles, tally)
  while (tally.failures.length < FAILURES_MAX && goesOn(tally))
    await runBatch(
      Array.from({ length: BATCH_CASES }, () => makeCase(random)),
      oracles,
      tally,
    )
  return tally
}

function makeCase(random: Random): Case {
  const isRequest = random.once(2)
  const text = isRequest ? generateRequests(random) : generateResponse(random)
  const method = isRequest ? undefined : random.pick(METHODS)
  return { text, method, cuts: generateCuts(random, text.length) }
}

async function runBatch(
  cases: readonly Case[],
  oracles: readonly Oracle[],
  tally: Tally,
): Promise<void> {
  const probes = cases.flatMap((one) => readCase(one, tally))
  const questions = probes.map(({ question }) => question)
  const answers = await Promise.all(oracles.map((oracle) => oracle.ask(questions)))
  for (const [index, { name }] of oracles.entries())
    for (const [at, hearing] of answers[index]!.entries()) {
      tally.compared.set(name, tally.compared.get(name)! + 1)
      const difference = compare(probes[at]!, hearing, name)
      if (difference) note(difference, tally, probes[at]!.isPassedOn === true)
    }
}

function readCase({ text, method, cuts }: Case, tally: Tally): Probe[] {
  const bytes = Buffer.from(text, 'latin1')
  const read = (pieces: readonly Buffer[]): Conversation =>
    method === undefined ? readRequests(pieces) : readResponse(pieces, method)
  const ours = read([bytes])
  const expected = JSON.stringify(ours)
  if (JSON.stringify(read(cut(bytes, cuts))) !== expected)
    tally.failures.push(`cut at ${cuts.join(' ')} it is another: ${JSON.stringify(text)}`)
  tally.cases += 1
  if (ours.messages.length > 0) tally.accepted += 1
  tally.messages += ours.messages.filter(({ isWhole }) => isWhole).length
  return [...makeProbes(bytes, cuts, ours, method), ...readRewritten(ours, method, tally)]
}

// What is passed on must mean the same to us and to the others.
function readRewritten(ours: Conversation, method: string | undefined, tally: Tally): Probe[] {
  return ours.messages
    .filter(({ isWhole }) => isWhole)
    .flatMap((message) => {
      const bytes =
        method === undefined ? rewriteRequest(message) : rewriteResponse(message, method)
      if (bytes === undefined) return []
      const again = method === undefined ? readRequests([bytes]) : readResponse([bytes], method)
      const [copy, ...more] = again.messages
      tally.rewritten += 1
      const isSame =
        copy?.isWhole === true &&
        copy.end === bytes.length &&
        copy.body.equals(message.body) &&
        more.length === 0 &&
        again.refused === undefined
      if (!isSame)
        tally.failures.push(`not the same again: ${JSON.stringify(bytes.toString('latin1'))}`)
      return makeProbes(bytes, [], again, method).map((probe) => ({
        ...probe,
        isPassedOn: true as const,
      }))
    })
}

function note(difference: Difference, tally: Tally, isPassedOn: boolean): void {
  const { name } =
    EXPLANATIONS.find((row) => (!isPassedOn || row.isPassedOn) && row.explains(difference)) ?? {}
  if (name !== undefined) {
    tally.explained.set(name, (tally.explained.get(name) ?? 0) + 1)
    return
  }
  const { oracle, kind, words, message, heard, method, question } = difference
  const text = Buffer.concat(question.pieces).toString('latin1')
  tally.failures.push(
    `${oracle} ${kind} ${words}\n  ${method ?? 'request'} ${JSON.stringify(text)}\n  ours  ${describe(message)}\n  other ${heard ? describe(heard) : '-'}`,
  )
}

function describe(message: {
  readonly start: readonly string[]
  readonly headers: readonly string[]
  readonly body: Buffer | string
  readonly trailers: readonly string[]
  readonly isWhole: boolean
}): string {
  const { start, headers, body, trailers, isWhole } = message
  const text = typeof body === 'string' ? body : body.toString('latin1')
  return JSON.stringify({ start, headers, body: text, trailers, isWhole })
}
