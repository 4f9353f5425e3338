// The body of a request or a response, as every room sees it: pulled chunk by chunk, so that inspecting, scrubbing and
// engines change apart. Deliberately not a runtime's stream class. Sources: `listen/` (requests), `forward/` (responses).

/** A flat list of header names and values, `[name, value, name, value, …]`, in the order and spelling they arrived. */
export type RawHeaders = readonly string[]

/** Bytes that are pulled. One reader at a time; the source is paused while nobody reads. */
export interface Body {
  /** Bytes in all where the framing says so; 0 means that there is no body; undefined: known only at the end. */
  readonly length: number | undefined
  /** What follows a chunked body; complete once `read` has returned null. */
  readonly trailers: RawHeaders
  /** The next bytes; null at the end; undefined when nothing has arrived yet: then await `wait` and read again.
   * @throws the error that broke the body off (an EgressError where the reason is known) */
  read(): Uint8Array | null | undefined
  /** Resolves when `read` has something to say (bytes, the end or an error). Never rejects. */
  wait(): Promise<void>
  /** Stops the source for good; a later `read` throws the cause. */
  abort(cause: Error): void
}

/** A body that is another one but for what is pulled from it; `read` pulls from the other. */
export function overBody(body: Body, read: Body['read']): Body {
  return {
    length: body.length,
    get trailers() {
      return body.trailers
    },
    read,
    wait: () => body.wait(),
    abort: (cause) => body.abort(cause),
  }
}

/** The body of a message that has none. */
export const NO_BODY: Body = {
  length: 0,
  trailers: [],
  read: () => null,
  wait: () => Promise.resolve(),
  abort: () => undefined,
}
