// Reads what the control API answers: texts of bounded size, events one by one, refusals. Called by `client.ts`.

import type { IncomingMessage } from 'node:http'

import type { Problem } from './problems.ts'

const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const EVENT_CHARACTERS_MAX = 4 * 1024 * 1024

/** Reads a whole answer. @throws Error where it is too large or breaks off */
export async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) throw new Error('the answer of the control API is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Reads the records of an event stream (WHATWG HTML section 9.2) as they come. */
export async function* readEvents(
  response: IncomingMessage,
): AsyncGenerator<object, void, undefined> {
  let text = ''
  response.setEncoding('utf8')
  for await (const chunk of response as AsyncIterable<string>) {
    text += chunk
    if (text.length > EVENT_CHARACTERS_MAX) throw new Error('an event is too large')
    const events = text.split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) {
      const lines = event.split('\n')
      if (lines.includes('event: overrun')) return
      const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice(6))
      if (data.length === 0) continue
      const record: object = JSON.parse(data.join('\n'))
      yield record
    }
  }
}

/** Reads a refusal; whoever answered something else was no control API. */
export function readProblem(text: string, status: number): Problem {
  try {
    const problem: unknown = JSON.parse(text)
    if (isProblem(problem)) return problem
  } catch {
    // Said below.
  }
  return {
    type: 'about:blank',
    title: "an answer that is not the control API's",
    status,
    reason: 'internal',
    detail: `status ${status}`,
    remedy: 'Look at what listens there.',
  }
}

function isProblem(value: unknown): value is Problem {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['reason', 'title', 'detail', 'remedy'].every(
      (key) => typeof Reflect.get(value, key) === 'string',
    ) &&
    typeof Reflect.get(value, 'status') === 'number'
  )
}
