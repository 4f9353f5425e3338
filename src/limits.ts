// Every bound that an operator may need to move, with unit and source. The values here are the defaults; `limits:` in the
// configuration overrides any of them by the same name. A bound that is reached refuses quickly with a reason and harms nobody
// else. How deep and how long the parts of one message may be, the readers of `inspect/` and the rules of `policy/` say
// themselves, beside what they bound: those are fixed.

import { DEFAULT_CREDENTIAL_LIMITS, type CredentialLimits } from './credential-limits.ts'
import { DEFAULT_DOOR_LIMITS, type DoorLimits } from './door-limits.ts'

/** The bounds. Names end in their unit; a count has none. */
export interface Limits extends DoorLimits, CredentialLimits {
  /** Open client connections on the proxy listener; beyond: `busy`. */
  readonly connectionsMax: number
  /** Open CONNECT tunnels (inspected or opaque); beyond: `busy`. */
  readonly tunnelsMax: number
  /** Calls in flight; beyond: `busy`. */
  readonly callsMax: number
  /** Open CONNECT tunnels of one task, so that none keeps the others out; beyond: `busy`. */
  readonly tunnelsPerTaskMax: number
  /** Calls in flight of one task; beyond: `busy`. */
  readonly callsPerTaskMax: number
  /** Bytes of a request head, request line included (RFC 9112 section 2.3 leaves it to us); beyond: `head-too-large`. */
  readonly headBytesMax: number
  /** Header fields of a message; beyond: `head-too-large`. */
  readonly headerCountMax: number
  /** Bytes of an upstream's response head, all fields together, and of all 1xx before it; beyond: `response-malformed`. */
  readonly responseHeadBytesMax: number
  /** Bytes of a trailer section; beyond: `malformed-body`. */
  readonly trailerBytesMax: number
  /** Bytes of a chunk's size line, its extensions included; beyond: `malformed-body`, in a response `response-malformed`. */
  readonly chunkLineBytesMax: number
  /** From the first byte of a head (or the accept of a connection) to its end; beyond: `head-timeout`. */
  readonly headTimeoutMs: number
  /** From a 200 to CONNECT to a parsed ClientHello or request line, and for the TLS handshake. */
  readonly handshakeTimeoutMs: number
  /** A kept client connection without a request. */
  readonly keepAliveTimeoutMs: number
  /** A call or tunnel on which no byte moves in either direction: `idle-timeout`. */
  readonly idleTimeoutMs: number
  /** From dialing to an accepted connection, TLS included: `connect-timeout`. */
  readonly connectTimeoutMs: number
  /** From the end of the request to the response head: `response-timeout`. */
  readonly responseTimeoutMs: number
  /** For one DNS answer: `resolve-failed`. */
  readonly resolveTimeoutMs: number
  /** An address is used at most this long after it was resolved. */
  readonly dnsCacheMs: number
  /** Names in the DNS cache. */
  readonly dnsCacheMax: number
  /** Upstream connections a task keeps to one origin. */
  readonly upstreamConnectionsMax: number
  /** Pools of upstream connections, all tasks together. */
  readonly upstreamPoolsMax: number
  /** An unused upstream connection is closed after this. */
  readonly upstreamKeepAliveMs: number
  /** Names for which a certificate may be minted a second, all tasks together; beyond: `busy`. */
  readonly mintsPerSecond: number
  /** Secure contexts kept. */
  readonly secureContextsMax: number
  /** Bytes of a ClientHello that are read before giving up. */
  readonly clientHelloBytesMax: number
  /** Bytes buffered a direction of a call before its source is paused. */
  readonly bufferBytesMax: number
  /** Bytes of a body that a rule must see whole; beyond: `body-too-large`. */
  readonly inspectBytesMax: number
  /** Bytes of a body that conditions can read as JSON; of a larger one there is no `call.body.json`. */
  readonly conditionBodyBytesMax: number
  /** Bytes of such bodies, and of messages of MCP servers, that wait in memory, all tasks together; beyond: `busy`. */
  readonly inspectedBytesMax: number
  /** Those of one task. */
  readonly inspectedBytesPerTaskMax: number
  /** Messages of one batch of MCP, either way; beyond: `malformed-body`, from the server `response-malformed`. */
  readonly mcpBatchMax: number
  /** Requests of one batch of GraphQL; beyond: `body-too-large`. */
  readonly graphqlBatchMax: number
  /** Bytes of one GraphQL document; beyond: `body-too-large`. */
  readonly graphqlDocumentBytesMax: number
  /** Tokens of all GraphQL documents of a request, comments among them; beyond: `body-too-large`. */
  readonly graphqlTokensMax: number
  /** Updates of references of one push; beyond: `body-too-large`. */
  readonly pushCommandsMax: number
  /** Bytes of a push's pack that are held back to show a fast-forward; beyond, the update counts as unproven. */
  readonly pushHeldBytesMax: number
  /** Bytes of a refused push that are read and forgotten, as git reads no answer before it has sent all. */
  readonly refusedPushBytesMax: number
  /** Bytes of one message of a stream from an upstream; beyond: `response-malformed`. */
  readonly messageBytesMax: number
  /** Bytes of the body of a model's call that are read for the record alone; beyond, it says so and the body flows on. */
  readonly tapBytesMax: number
  /** Bytes of a prompt, a completion, or a tool's arguments or result that one record keeps; beyond, it is cut and says so. */
  readonly recordedContentBytesMax: number
  /** Messages a call and second from a server's own initiative that get a record each; beyond, they are counted in one. */
  readonly messageRecordsPerSecond: number
  /** Detections of one kind and task within `alertFoldMs` that get an alert each; beyond, they are told in one. */
  readonly alertsPerTask: number
  /** Alerts beyond the number are gathered for so long. */
  readonly alertFoldMs: number
  /** Refusals of a task within `denialStormMs` that are a storm: `denial-storm`. */
  readonly denialStormCount: number
  /** The window in which refusals are counted. */
  readonly denialStormMs: number
  /** Bytes a task sends within `bytesOutSpikeMs`; beyond: `bytes-out-spike`. */
  readonly bytesOutSpikeBytes: number
  /** The window in which bytes are counted. */
  readonly bytesOutSpikeMs: number
  /** Destinations remembered of one agent account; beyond, those not used for longest are forgotten, and new again. */
  readonly destinationsRemembered: number
  /** Tools and servers of MCP that are remembered for a task, with their definitions; beyond, further ones are refused. */
  readonly toolsPinnedMax: number
  /** Bytes of the body of a call that waits for a person; beyond: `body-too-large`. */
  readonly holdBodyBytes: number
  /** How long a client waits for an answer before it is told to come back: `approval-pending`. */
  readonly holdWaitMs: number
  /** How long a held call waits for a person; beyond: `approval-timeout`. */
  readonly holdTtlMs: number
  /** How long an answer counts: an approval for one call that comes later, a refusal for the same call again. */
  readonly grantTtlMs: number
  /** Held calls of one task that wait; beyond: `quota-exceeded`. */
  readonly holdsPerTaskMax: number
  /** Held calls that wait, all tasks together; beyond: `quota-exceeded`. */
  readonly holdsMax: number
  /** Records waiting to be written; beyond: `audit-unavailable`. */
  readonly recordsQueuedMax: number
  /** Records after which the journal's head is signed, at the latest. */
  readonly checkpointRecords: number
  /** The journal's head is signed at the latest after this, where there is something new. */
  readonly checkpointMs: number
  /** A key that checkpoints are signed with is replaced after this. */
  readonly checkpointKeyLifetimeMs: number
  /** Longest life of a task, from its making or its extending on. */
  readonly taskLifetimeMs: number
  /** Tasks that are not over; beyond: the making of one is refused with `busy`. */
  readonly tasksMax: number
  /** Ended tasks that are remembered, by token, instance and receipt; beyond, those that ended first are forgotten. */
  readonly tasksEndedMax: number
  /** Tasks directly below one that are not over; beyond: `quota-exceeded`. */
  readonly childrenPerTaskMax: number
  /** Tasks made below one within a minute; beyond: `quota-exceeded`. */
  readonly childrenPerMinute: number
  /** Tasks above each other, the root included; beyond: `delegation-widening`. */
  readonly taskDepthMax: number
  /** Requests to people that a task opens within an hour; beyond: `quota-exceeded`. */
  readonly requestsPerHour: number
  /** Requests of a task that wait for a person; beyond: `quota-exceeded`. */
  readonly requestsOpenPerTaskMax: number
  /** Calls of a task to `sallyport.internal` within a minute; beyond: `quota-exceeded`. */
  readonly envelopeCallsPerMinute: number
  /** Refused calls of a task within a minute; beyond: it ends. */
  readonly taskDenialsPerMinute: number
  /** Refused calls of a task within `denialsSuspendMs` at which it is suspended; those that may be tried again do not count. */
  readonly denialsSuspendMax: number
  /** The time in which they are counted. */
  readonly denialsSuspendMs: number
  /** Counters of limits of one task: its own, one a rule with a limit, one a tool where it counts by itself; beyond: `quota-exceeded`. */
  readonly quotaCountersPerTaskMax: number
  /** A sandbox whose end is not confirmed is asked to end again after this. */
  readonly teardownRetryMs: number
  /** How long open calls may go on after SIGTERM. */
  readonly drainTimeoutMs: number
  /** A rule file. */
  readonly ruleFileBytesMax: number
  /** Rules a set. */
  readonly rulesPerSetMax: number
  /** A credential's source file or variable. */
  readonly secretBytesMax: number
  /** `call-progress` after this time, and again each such time. */
  readonly progressMs: number
  /** `call-progress` after this many bytes, both directions together, and again each. */
  readonly progressBytes: number
  /** The controls that run are looked at again after this; the first time soon after the start. */
  readonly selfCheckMs: number
  /** Requests handled at once on the health listener. */
  readonly healthConnectionsMax: number
  /** Open connections to the control API; beyond, they are dropped. */
  readonly controlConnectionsMax: number
  /** Requests a second that one principal makes of the control API, twice as many at once; beyond: `quota-exceeded`. */
  readonly controlRequestsPerSecond: number
  /** Bytes of a request's body to the control API; beyond: `body-too-large`. */
  readonly controlBodyBytesMax: number
  /** Records in one batch to a sink. */
  readonly sinkBatchMax: number
  /** Bytes of the records in one batch to a sink, unless a single one is larger. */
  readonly sinkBatchBytesMax: number
  /** Bytes of the journal that a sink may be behind, unless it says so itself; at most three quarters of `journal.maxBytes`. */
  readonly sinkBacklogBytesMax: number
  /** For one answer of a sink. */
  readonly sinkTimeoutMs: number
  /** For a sink's word that it has a batch for good, where it gives one later; beyond, the batch is sent again. */
  readonly sinkAcknowledgeTimeoutMs: number
}

/** The defaults. */
export const DEFAULT_LIMITS: Limits = {
  ...DEFAULT_DOOR_LIMITS,
  ...DEFAULT_CREDENTIAL_LIMITS,
  connectionsMax: 4096,
  tunnelsMax: 2048,
  callsMax: 4096,
  tunnelsPerTaskMax: 512,
  callsPerTaskMax: 1024,
  headBytesMax: 64 * 1024,
  headerCountMax: 200,
  responseHeadBytesMax: 64 * 1024,
  trailerBytesMax: 8192,
  chunkLineBytesMax: 1024,
  headTimeoutMs: 10_000,
  handshakeTimeoutMs: 5000,
  keepAliveTimeoutMs: 75_000,
  idleTimeoutMs: 300_000,
  connectTimeoutMs: 10_000,
  responseTimeoutMs: 300_000,
  resolveTimeoutMs: 5000,
  dnsCacheMs: 30_000,
  dnsCacheMax: 2000,
  upstreamConnectionsMax: 128,
  upstreamPoolsMax: 512,
  upstreamKeepAliveMs: 15_000,
  mintsPerSecond: 200,
  secureContextsMax: 500,
  clientHelloBytesMax: 16 * 1024,
  bufferBytesMax: 256 * 1024,
  inspectBytesMax: 16 * 1024 * 1024,
  conditionBodyBytesMax: 64 * 1024,
  inspectedBytesMax: 256 * 1024 * 1024,
  inspectedBytesPerTaskMax: 64 * 1024 * 1024,
  mcpBatchMax: 100,
  graphqlBatchMax: 50,
  graphqlDocumentBytesMax: 256 * 1024,
  graphqlTokensMax: 20_000,
  pushCommandsMax: 1000,
  pushHeldBytesMax: 8 * 1024 * 1024,
  refusedPushBytesMax: 1024 * 1024 * 1024,
  messageBytesMax: 4 * 1024 * 1024,
  tapBytesMax: 4 * 1024 * 1024,
  recordedContentBytesMax: 32 * 1024,
  messageRecordsPerSecond: 50,
  alertsPerTask: 20,
  alertFoldMs: 60_000,
  denialStormCount: 100,
  denialStormMs: 60_000,
  bytesOutSpikeBytes: 100 * 1024 * 1024,
  bytesOutSpikeMs: 600_000,
  destinationsRemembered: 1000,
  toolsPinnedMax: 5000,
  holdBodyBytes: 1024 * 1024,
  holdWaitMs: 30_000,
  holdTtlMs: 900_000,
  grantTtlMs: 600_000,
  holdsPerTaskMax: 20,
  holdsMax: 1000,
  recordsQueuedMax: 20_000,
  checkpointRecords: 10_000,
  checkpointMs: 60_000,
  checkpointKeyLifetimeMs: 30 * 86_400_000,
  taskLifetimeMs: 24 * 3_600_000,
  tasksMax: 20_000,
  tasksEndedMax: 20_000,
  childrenPerTaskMax: 10,
  childrenPerMinute: 60,
  taskDepthMax: 5,
  requestsPerHour: 20,
  requestsOpenPerTaskMax: 10,
  envelopeCallsPerMinute: 120,
  taskDenialsPerMinute: 10_000,
  denialsSuspendMax: 1000,
  denialsSuspendMs: 300_000,
  quotaCountersPerTaskMax: 1000,
  teardownRetryMs: 30_000,
  drainTimeoutMs: 10_000,
  ruleFileBytesMax: 1024 * 1024,
  rulesPerSetMax: 10_000,
  secretBytesMax: 64 * 1024,
  progressMs: 60_000,
  progressBytes: 10 * 1024 * 1024,
  selfCheckMs: 300_000,
  healthConnectionsMax: 64,
  controlConnectionsMax: 256,
  controlRequestsPerSecond: 100,
  controlBodyBytesMax: 256 * 1024,
  sinkBatchMax: 500,
  sinkBatchBytesMax: 4 * 1024 * 1024,
  sinkBacklogBytesMax: 2 * 1024 ** 3,
  sinkTimeoutMs: 10_000,
  sinkAcknowledgeTimeoutMs: 300_000,
}
