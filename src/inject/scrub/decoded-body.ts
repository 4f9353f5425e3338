// A body whose Content-Encoding is undone: given on as it is meant, or as it came once what it means has been looked at. Made by
// `scrub-response.ts`.

import { EgressError } from '../../errors.ts'
import type { Body } from '../../wire/body.ts'
import { BodyQueue } from '../../wire/body-queue.ts'
import { Decoder, type Coding } from './decoder.ts'
import { Scrubber } from './scrubber.ts'
import type { Watch } from './watch.ts'

/** What decoding may take. */
export interface DecodingBounds {
  /** Bytes that may come of one. */
  readonly ratioMax: number
  readonly bufferBytesMax: number
}

/** The body as it is meant. */
export function decodeBody(
  body: Body,
  codings: readonly Coding[],
  { ratioMax, bufferBytesMax }: DecodingBounds,
): Body {
  const decoder = new Decoder(codings, ratioMax)
  return pump(body, undefined, bufferBytesMax, decoder, async (chunk, pass) => {
    if (chunk === null) for (const bytes of await decoder.end()) await pass(bytes)
    else for await (const bytes of decoder.decode(chunk)) await pass(bytes)
  })
}

/**
 * The body as it came, each piece once what it means was looked at: it is cut where a value is in it, before the piece with the
 * last byte of it has gone on.
 */
export function checkBody(
  body: Body,
  codings: readonly Coding[],
  { ratioMax, bufferBytesMax }: DecodingBounds,
  watch: Watch,
): Body {
  const decoder = new Decoder(codings, ratioMax)
  const look = (credential: string): void => {
    watch.onFound(credential, 'body')
    throw new EgressError('credential-echoed', { credential, place: 'body' })
  }
  const meant = new Scrubber(watch.finder(), look)
  return pump(body, body.length, bufferBytesMax, decoder, async (chunk, pass) => {
    meant.use(watch.finder())
    if (chunk === null) {
      for (const bytes of await decoder.end()) meant.push(bytes)
      meant.end()
      return
    }
    for await (const bytes of decoder.decode(chunk)) meant.push(bytes)
    await pass(chunk)
  })
}

type Pass = (bytes: Uint8Array) => Promise<void>

function pump(
  body: Body,
  length: number | undefined,
  bufferBytesMax: number,
  decoder: Decoder,
  take: (chunk: Uint8Array | null, pass: Pass) => Promise<void>,
): Body {
  let flow: (() => void) | undefined
  let flowing = Promise.resolve()
  const resume = (): void => {
    flow?.()
    flow = undefined
  }
  const queue = new BodyQueue(length, bufferBytesMax, {
    pause: () => {
      flowing = new Promise((resolve) => {
        flow = resolve
      })
    },
    resume,
    abort: (cause) => {
      body.abort(cause)
      decoder.close()
      resume()
    },
  })
  const run = async (): Promise<void> => {
    for (;;) {
      const chunk = body.read()
      if (chunk === undefined) {
        await body.wait()
        continue
      }
      await take(chunk, (bytes) => {
        queue.push(bytes)
        return flowing
      })
      if (chunk === null) break
    }
    queue.end(body.trailers)
  }
  run()
    .catch((error: unknown) => {
      const cause = error instanceof Error ? error : new EgressError('internal')
      body.abort(cause)
      if (cause instanceof EgressError && cause.reason === 'credential-echoed') queue.drop(cause)
      else queue.fail(cause)
    })
    .finally(() => decoder.close())
  return queue
}
