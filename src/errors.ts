// The one closed table of reasons, and the one error class that carries them. The same token is the error's reason, the
// record's reason, the `Proxy-Status` parameter, the metric label and the anchor in docs/reasons.md.
// Deliberately knows nothing of HTTP messages: `listen/answer.ts` turns a row into a response.

/** The stage of a call in which a reason arises; `terminal` reasons appear in records only. */
type Phase =
  | 'received'
  | 'identified'
  | 'screened'
  | 'understood'
  | 'decided'
  | 'cleared'
  | 'prepared'
  | 'forwarded'
  | 'terminal'

/** What a client may expect from asking again: never, after a pause, or once somebody changed something. */
type Retry = 'no' | 'later' | 'after-change'

/** One row of the table. */
export interface ReasonRow {
  /** HTTP status of the refusal; 0 where the reason is never sent. */
  readonly status: number
  /** Error type of RFC 9209 section 2.3, `-` where the reason is never sent. */
  readonly proxyStatus: string
  readonly phase: Phase
  readonly retry: Retry
  /** Half a sentence, lower case, without a full stop, fit for any reader. */
  readonly title: string
  /** Imperative sentences written for a model: what to do, what not to try again. */
  readonly remedy: string
}

const row = (
  status: number,
  proxyStatus: string,
  phase: Phase,
  retry: Retry,
  title: string,
  remedy: string,
): ReasonRow => ({ status, proxyStatus, phase, retry, title, remedy })

const REPAIR = 'Do not retry the same bytes. Send a well-formed request.'
const ASK = "Do not retry. Ask the task's owner"
const LATER = 'Wait a little and try again.'

/** A token of the table, `[a-z0-9-]{1,32}`; equal to the agents.net draft's where it has one. */
// prettier-ignore
export type Reason =
  | 'malformed-request-line' | 'malformed-header' | 'duplicate-host' | 'missing-host' | 'malformed-target'
  | 'malformed-port' | 'malformed-path' | 'malformed-body' | 'authority-mismatch' | 'mcp-header-mismatch'
  | 'not-on-allowlist' | 'denied-by-rule' | 'port-not-allowed' | 'method-not-allowed' | 'path-not-allowed'
  | 'tool-not-allowed' | 'source-not-allowed' | 'operation-not-allowed' | 'ref-not-allowed' | 'ip-not-on-allowlist'
  | 'resolved-address-denied' | 'scoped-ip' | 'protocol-not-allowed' | 'outside-time-window' | 'environment-mismatch'
  | 'classification-ceiling' | 'flow-violation' | 'condition-error' | 'tool-definition-changed'
  | 'placeholder-misused' | 'approval-pending' | 'approval-denied' | 'approval-timeout' | 'identity-unknown'
  | 'identity-shared' | 'attestation-failed' | 'unknown-client' | 'task-not-active' | 'task-ended' | 'killed'
  | 'identity-missing' | 'head-timeout' | 'body-too-large' | 'quota-exceeded' | 'head-too-large'
  | 'unsupported-version' | 'resolve-failed' | 'dial-failed' | 'tls-untrusted' | 'tls-failed' | 'upgrade-failed'
  | 'response-incomplete' | 'response-malformed' | 'credential-unavailable' | 'credential-echoed' | 'loop-detected'
  | 'policy-unavailable' | 'audit-unavailable' | 'busy' | 'draining' | 'connect-timeout' | 'response-timeout'
  | 'internal' | 'allowed' | 'client-gone' | 'upstream-gone' | 'idle-timeout' | 'client-rejected-certificate'
  | 'task-ended-midway' | 'sidecar-crashed'

/** Every reason by its token: the compiler holds the table to the tokens and the tokens to the table. */
// prettier-ignore
export const REASONS: Readonly<Record<Reason, ReasonRow>> = {
  'malformed-request-line': row(400, 'http_request_error', 'received', 'no', 'the request line is not method, target and version', REPAIR),
  'malformed-header': row(400, 'http_request_error', 'received', 'no', 'a header field or the message framing is not well formed', REPAIR),
  'duplicate-host': row(400, 'http_request_error', 'received', 'no', 'the request has more than one Host field', REPAIR),
  'missing-host': row(400, 'http_request_error', 'received', 'no', 'the request has no Host field', REPAIR),
  'malformed-target': row(400, 'http_request_error', 'received', 'no', 'the request target is not one this proxy can read without doubt', REPAIR),
  'malformed-port': row(400, 'http_request_error', 'received', 'no', 'the port is not a number from 1 to 65535', REPAIR),
  'malformed-path': row(400, 'http_request_error', 'received', 'no', 'the path could be read in more than one way', 'Do not retry. Send the path without dot segments, backslashes, control characters or broken escapes.'),
  'malformed-body': row(400, 'http_request_error', 'understood', 'no', 'the body or its framing is not well formed', REPAIR),
  'authority-mismatch': row(400, 'http_request_error', 'received', 'no', 'target, Host and TLS server name do not name the same destination', 'Do not retry. Name one destination everywhere.'),
  'mcp-header-mismatch': row(400, 'http_request_error', 'understood', 'no', 'the MCP headers do not agree with the message', REPAIR),

  'not-on-allowlist': row(403, 'http_request_denied', 'decided', 'no', "destination not on this task's allowlist", `${ASK} to add a rule for this destination.`),
  'denied-by-rule': row(403, 'http_request_denied', 'decided', 'no', 'a rule denies this call', "Do not retry. Do the work without this call, or ask the task's owner."),
  'port-not-allowed': row(403, 'http_request_denied', 'decided', 'no', 'destination allowed, but not on this port', `${ASK} to add a rule for this port, or use the allowed one.`),
  'method-not-allowed': row(403, 'http_request_denied', 'decided', 'no', 'destination allowed, but not with this method', `${ASK} to allow this method here.`),
  'path-not-allowed': row(403, 'http_request_denied', 'decided', 'no', 'destination allowed, but not this path', `${ASK} to allow this path, or stay within the paths of the task.`),
  'tool-not-allowed': row(403, 'http_request_denied', 'decided', 'no', 'this tool is not allowed', `${ASK} to allow this tool.`),
  'source-not-allowed': row(403, 'http_request_denied', 'decided', 'no', 'this resource, prompt or repository is not allowed', `${ASK} to allow it.`),
  'operation-not-allowed': row(403, 'http_request_denied', 'decided', 'no', 'this operation is not allowed', `${ASK} to allow this operation.`),
  'ref-not-allowed': row(403, 'http_request_denied', 'decided', 'no', 'this git reference may not be changed so', 'Do not retry. Push to a branch that the task may change.'),
  'ip-not-on-allowlist': row(403, 'destination_ip_prohibited', 'decided', 'no', "address not on this task's allowlist", `${ASK} to add a rule for this address, or use the host's name.`),
  'resolved-address-denied': row(403, 'destination_ip_prohibited', 'forwarded', 'no', 'the name resolves to an address that is not allowed', `${ASK} to list the address in the rule, if it is meant.`),
  'scoped-ip': row(403, 'destination_ip_prohibited', 'received', 'no', 'an address with a zone cannot be reached', 'Do not retry. Use an address without a zone.'),
  'protocol-not-allowed': row(403, 'http_request_denied', 'decided', 'no', 'this protocol is not allowed to this destination', `${ASK} for a rule that allows this protocol.`),
  'outside-time-window': row(403, 'http_request_denied', 'decided', 'later', 'allowed only at other times', 'Try again within the allowed time.'),
  'environment-mismatch': row(403, 'http_request_denied', 'decided', 'no', "the task's environment does not match the destination's", `${ASK} for a task of that environment.`),
  'classification-ceiling': row(403, 'http_request_denied', 'decided', 'no', "the destination's data is above the task's ceiling", `${ASK} for a task with a higher ceiling.`),
  'flow-violation': row(403, 'http_request_denied', 'cleared', 'no', 'what this task has read may not be sent here', 'Do not retry. Finish without sending here, or ask a person.'),
  'condition-error': row(403, 'http_request_denied', 'decided', 'no', 'a condition could not be evaluated on this call', 'Do not repeat parameters or headers, and send those the call needs.'),
  'tool-definition-changed': row(403, 'http_request_denied', 'decided', 'after-change', "the tool's definition changed since it was first seen", 'Do not retry. A person has to look at the change.'),
  'placeholder-misused': row(403, 'http_request_denied', 'screened', 'no', 'a credential placeholder stands where it must not', 'Do not retry. Send the placeholder only as its own client does: in the place and to the host it is for.'),
  'approval-pending': row(403, 'http_request_denied', 'cleared', 'later', 'a person has yet to approve this call', 'Repeat exactly the same call later.'),
  'approval-denied': row(403, 'http_request_denied', 'cleared', 'no', 'a person refused this call', 'Do not retry. Do the work without this call.'),
  'approval-timeout': row(403, 'http_request_denied', 'cleared', 'later', 'nobody approved this call in time', 'Ask the reviewer, then repeat the call.'),
  'identity-unknown': row(403, 'http_request_denied', 'identified', 'no', 'the proxy credential belongs to no task', 'Do not retry. Use the proxy URL that was handed to this sandbox, unchanged.'),
  'identity-shared': row(403, 'http_request_denied', 'identified', 'no', 'the proxy credential is bound to another sandbox', 'Do not retry. Use the proxy URL of this sandbox.'),
  'attestation-failed': row(403, 'http_request_denied', 'identified', 'no', 'the evidence for this sandbox does not match', `${ASK} to start the task again.`),
  'unknown-client': row(403, 'http_request_denied', 'identified', 'no', 'this client belongs to no registered sandbox', `${ASK} to register it.`),
  'task-not-active': row(403, 'http_request_denied', 'identified', 'after-change', 'the task is not active', 'Stop. The task is not active; its owner can make it so.'),
  'task-ended': row(403, 'http_request_denied', 'identified', 'no', 'the task has ended', 'Stop. The task has ended and nothing more can be sent for it.'),
  killed: row(403, 'http_request_denied', 'identified', 'no', 'this was switched off by an operator', 'Stop. An operator switched this off.'),

  'identity-missing': row(407, 'http_request_denied', 'identified', 'no', 'no proxy credential was sent', 'Use the proxy URL that was handed to this sandbox: it carries the credential.'),
  'head-timeout': row(408, 'http_request_error', 'received', 'later', 'the request head did not arrive in time', 'Send the whole request head at once.'),
  'body-too-large': row(413, 'http_request_denied', 'forwarded', 'no', 'the request body is larger than allowed', 'Do not retry the same body. Send less.'),
  'quota-exceeded': row(429, 'http_request_denied', 'cleared', 'later', 'a limit of the task is reached', 'Wait as long as Retry-After says, and send fewer calls.'),
  'head-too-large': row(431, 'http_request_error', 'received', 'no', 'the request head is too large or has too many fields', 'Do not retry. Send fewer or shorter header fields.'),
  'unsupported-version': row(505, 'http_protocol_error', 'received', 'no', 'this HTTP version is not spoken here', 'Use HTTP/1.1.'),

  'resolve-failed': row(502, 'dns_error', 'forwarded', 'later', 'the host name could not be resolved', 'Check the name; if it is right, try again later.'),
  'dial-failed': row(502, 'destination_unavailable', 'forwarded', 'later', 'the upstream does not accept connections', LATER),
  'tls-untrusted': row(502, 'tls_certificate_error', 'forwarded', 'after-change', "the upstream's certificate is not trusted", "Do not retry and do not turn verification off: it is the proxy that refuses. Ask the task's owner."),
  'tls-failed': row(502, 'tls_protocol_error', 'forwarded', 'later', 'TLS could not be agreed on with the upstream', LATER),
  'upgrade-failed': row(502, 'http_upgrade_failed', 'forwarded', 'later', 'the upstream did not upgrade the connection as asked', LATER),
  'response-incomplete': row(502, 'http_response_incomplete', 'forwarded', 'later', 'the upstream ended before its response was complete', LATER),
  'response-malformed': row(502, 'http_protocol_error', 'forwarded', 'no', "the upstream's response is not well formed", `${ASK} to look at the upstream.`),
  'credential-unavailable': row(502, 'proxy_configuration_error', 'prepared', 'later', 'the credential for this call is not available', "Tell the task's owner; do not look for another credential."),
  'credential-echoed': row(502, 'http_protocol_error', 'forwarded', 'no', 'the upstream sent a credential back', `${ASK} to look at the upstream.`),
  'loop-detected': row(502, 'proxy_loop_detected', 'forwarded', 'no', 'the destination is this proxy itself', 'Do not retry. This address is the proxy.'),

  'policy-unavailable': row(503, 'proxy_configuration_error', 'identified', 'later', 'no valid rules are in force', LATER),
  'audit-unavailable': row(503, 'proxy_configuration_error', 'cleared', 'later', 'calls cannot be recorded at the moment', LATER),
  busy: row(503, 'connection_limit_reached', 'received', 'later', 'a limit of this proxy is reached', 'Wait a little and use fewer connections.'),
  draining: row(503, 'proxy_configuration_error', 'received', 'later', 'this proxy is shutting down', LATER),
  'connect-timeout': row(504, 'connection_timeout', 'forwarded', 'later', 'the upstream did not accept the connection in time', LATER),
  'response-timeout': row(504, 'http_response_timeout', 'forwarded', 'later', 'the upstream did not answer in time', LATER),
  internal: row(500, 'proxy_internal_error', 'received', 'later', 'this proxy made an error', 'Tell the operator the call id.'),

  allowed: row(0, '-', 'terminal', 'no', 'the call was allowed and completed', '-'),
  'client-gone': row(0, '-', 'terminal', 'no', 'the client went away before the end', '-'),
  'upstream-gone': row(0, '-', 'terminal', 'no', 'the upstream went away before the end', '-'),
  'idle-timeout': row(0, '-', 'terminal', 'no', 'nothing moved for too long', '-'),
  'client-rejected-certificate': row(0, '-', 'terminal', 'no', 'the client does not trust the interception certificate', 'Point the client at the CA that `sallyport env` names.'),
  'task-ended-midway': row(0, '-', 'terminal', 'no', 'the task ended while the call was open', '-'),
  'sidecar-crashed': row(0, '-', 'terminal', 'no', 'the sidecar died while the call was open', '-'),
}

/** How long whoever was refused has to wait: seconds, or `never`: it does not pass by itself. */
export type Wait = number | 'never'

/** A failure with a reason of the table; its message is for operators, the client sees only the table's words. */
export class EgressError extends Error {
  readonly reason: Reason
  /** Small facts for the record and the operator's log: never secrets, never sent to a client. */
  readonly detail: Readonly<Record<string, string | number>>
  /** Told to the client; undefined: what the table says of the reason. */
  readonly wait?: Wait | undefined

  constructor(
    reason: Reason,
    detail: Readonly<Record<string, string | number>> = {},
    options: ErrorOptions & { readonly wait?: Wait } = {},
  ) {
    super(`${reason}: ${REASONS[reason].title}`, options)
    this.name = 'EgressError'
    this.reason = reason
    this.detail = detail
    this.wait = options.wait
  }
}
