// What is told to the library that speaks HTTP/2, and what it tells clients: bounds of `limits.ts`, nothing that nobody needs.
// Called by `http2-connection.ts`.

import type { ServerSessionOptions } from 'node:http2'

import type { Limits } from '../limits.ts'

const WINDOW_BYTES_MAX = 2 ** 31 - 1
// How node counts a session's memory: what it needs beside the bodies is in it, and our own count is to be the first.
const MEGABYTE = 1_000_000
const MEMORY_FACTOR = 2
// Cookies may come cut up, and pseudo-header fields are counted too: what is too many is said by our own count.
const PAIRS_FACTOR = 4

/** The options of a client's session. */
export function sessionOptions(limits: Limits): ServerSessionOptions {
  const { headBytesMax, headerCountMax, http2ResetsPerMinute } = limits
  return {
    settings: {
      maxConcurrentStreams: limits.http2StreamsMax,
      // What nobody pulls is not credited: a body waits at its client beyond this.
      initialWindowSize: Math.min(limits.bufferBytesMax, WINDOW_BYTES_MAX),
      maxHeaderListSize: Math.min(headBytesMax, WINDOW_BYTES_MAX),
      enableConnectProtocol: false,
      enablePush: false,
    },
    maxHeaderListPairs: headerCountMax * PAIRS_FACTOR,
    maxSessionMemory: Math.ceil((limits.http2SessionBytesMax * MEMORY_FACTOR) / MEGABYTE) + 1,
    // Its own bound is not to be reached before ours.
    streamResetBurst: http2ResetsPerMinute + 1,
    streamResetRate: http2ResetsPerMinute,
    strictSingleValueFields: false,
  }
}
