// An answer that is no upgrade, on its way to the client with a framing of our own: until close. Called by `upgrade.ts`.

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

import type { UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import type { RawHeaders } from '../wire/body.ts'
import { BodyQueue } from '../wire/body-queue.ts'
import { stripResponseHead } from '../wire/hop-by-hop.ts'
import { fieldLines } from '../wire/http1-write.ts'

/** What comes back on an upgraded connection, or instead of an upgrade, as it may go on. */
export interface UpgradeScrub {
  /** Of the head that upgrades: names and values. */
  fields(fields: RawHeaders): RawHeaders
  /** What the server says, of the same length in all. @throws EgressError where it may not go on */
  frames(bytes: Uint8Array): Uint8Array
  /** @throws EgressError where it may not go on */
  answer(response: UpstreamResponse): UpstreamResponse | Promise<UpstreamResponse>
}

/** How an answer is passed on. */
export interface AnswerOptions {
  readonly count: (bytes: number) => void
  /** Told once the client has the head. */
  readonly onHead: () => void
  /** What goes on of it. @throws EgressError where nothing does */
  readonly scrub: UpgradeScrub | undefined
}

const QUEUED_BYTES_MAX = 64 * 1024

/** Passes an answer on, to its end. @throws EgressError what broke it off */
export async function passAnswer(
  incoming: IncomingMessage,
  client: Socket,
  { count, onHead, scrub }: AnswerOptions,
): Promise<void> {
  const received = readAnswer(incoming, count)
  const { status, statusText, headers, body } = scrub ? await scrub.answer(received) : received
  onHead()
  client.write(
    `HTTP/1.1 ${status} ${statusText}\r\n${fieldLines(headers)}Connection: close\r\n\r\n`,
    'latin1',
  )
  for (let chunk = body.read(); chunk !== null; chunk = body.read()) {
    if (client.destroyed) return
    if (chunk === undefined) await body.wait()
    else if (!client.write(chunk))
      await new Promise((resolve) => client.once('drain', resolve).once('close', resolve))
  }
  await new Promise<void>((resolve) => client.end(resolve))
}

function readAnswer(incoming: IncomingMessage, count: (bytes: number) => void): UpstreamResponse {
  const { statusMessage = '' } = incoming
  const body = new BodyQueue(undefined, QUEUED_BYTES_MAX, {
    pause: () => incoming.pause(),
    resume: () => incoming.resume(),
    abort: () => incoming.destroy(),
  })
  const fail = (): void => body.fail(new EgressError('upstream-gone'))
  incoming.on('data', (chunk: Buffer) => {
    count(chunk.length)
    body.push(chunk)
  })
  incoming.on('end', () => body.end([]))
  incoming.on('error', fail)
  incoming.on('close', fail)
  return {
    status: incoming.statusCode ?? 502,
    statusText: /^[\t\x20-\x7e]*$/.test(statusMessage) ? statusMessage : '',
    headers: stripResponseHead(incoming.rawHeaders),
    length: undefined,
    body,
  }
}
