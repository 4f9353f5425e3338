// The part of `limits.ts` that bounds what comes by DNS and by HTTP/2.

/** The bounds of names and of HTTP/2. */
export interface DoorLimits {
  /** Names that a tree of tasks has resolved for the first time within a minute, by wildcards of its rules; beyond: `quota-exceeded`. */
  readonly newNamesPerMinute: number
  /** How long an answer of the DNS door may be kept, whole seconds. */
  readonly dnsAnswerMs: number
  /** Open TCP connections to the DNS door; beyond, they are dropped. */
  readonly dnsConnectionsMax: number
  /** Names of one task that the DNS door gives addresses for; beyond, further ones are refused. */
  readonly dnsNamesMax: number
  /** Streams that are open at once on an HTTP/2 connection of a client; further ones are refused: `busy`. */
  readonly http2StreamsMax: number
  /** Streams of such a connection that end within a minute before they are answered; beyond, it ends: `busy`. */
  readonly http2ResetsPerMinute: number
  /** Frames a second on it that carry nothing (PING, SETTINGS, RST_STREAM, empty DATA); beyond, it ends: `busy`. */
  readonly http2ControlFramesPerSecond: number
  /** Bytes that its streams keep between them, bodies to the client among them; beyond, further streams: `busy`. */
  readonly http2SessionBytesMax: number
}

/** What they are unless written. */
export const DEFAULT_DOOR_LIMITS: DoorLimits = {
  newNamesPerMinute: 60,
  dnsAnswerMs: 5000,
  dnsConnectionsMax: 128,
  dnsNamesMax: 10_000,
  http2StreamsMax: 100,
  http2ResetsPerMinute: 500,
  http2ControlFramesPerSecond: 1000,
  http2SessionBytesMax: 16 * 1024 * 1024,
}
