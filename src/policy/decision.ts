// The question a call asks of the rules and the answer it gets. Values only; `decide.ts` makes the answer.

import type { Reason } from '../errors.ts'
import type { DataClass } from '../tasks/task.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Cidr } from '../wire/address.ts'
import type { RawHeaders } from '../wire/body.ts'
import type { PathReadings } from '../wire/path.ts'
import type { InsideKey } from './inside-match.ts'
import type { Clause } from './condition/clause.ts'
import type { RuleLimits, Verdict } from './rule-set.ts'
import type { Content, ContentModes, Inspector } from './subject.ts'

/** One call as the rules see it. A CONNECT asks with `decideConnect` and has neither method nor path. */
export interface Question {
  readonly endpoint: Endpoint
  /** `http`/`https`: inspected calls; a WebSocket upgrade sets `upgrade`. */
  readonly scheme: 'http' | 'https'
  readonly upgrade: boolean
  readonly method: string
  readonly path: PathReadings
  /** Without `?`; undefined where the target has none. */
  readonly query: string | undefined
  readonly headers: RawHeaders
  /** What was read of the call's bytes; undefined: the head alone is asked about. */
  readonly content?: Content
}

/** Which rule decided. */
export interface RuleRef {
  readonly id: string
  readonly ruleset: string
  /** `sha256:` of the rule set's file. */
  readonly version: string
}

/** How much may be done by one rule: counted for the task by the rule's name. */
export interface Quota {
  readonly rule: RuleRef
  readonly limits: RuleLimits
  /** Whose rule it is: 1 for the parent's, 2 for its parent's; absent for the task's own. */
  readonly ancestor?: number
}

/** Who may let a held call pass. */
export interface HoldTerms {
  /** The task's owner and whoever made it may not. */
  readonly separate: boolean
  /** Names of principals, `team:NAME` for a team; absent: any approver. */
  readonly reviewers?: readonly string[] | undefined
}

/** What an allowed call owes and gets. */
export interface Obligations {
  /** Name of the credential to inject. */
  readonly credential?: string
  /** There where one of the matching rules refuses a credential that is the same for all tasks. */
  readonly static?: false
  /** Bytes of request body at the most, the smallest of all matching rules. */
  readonly bodyBytesMax?: number
  /** Class of what comes back, the highest of all matching rules; absent where none of them names one. */
  readonly data?: DataClass
  /** Laws and standards that it falls under, of all matching rules, sorted; absent where none of them names one. */
  readonly regulation?: readonly string[]
  /** Kinds of data that come back, of all matching rules, sorted; absent where none of them names one. */
  readonly category?: readonly string[]
  /** Highest class that may be sent, the lowest of all matching rules; absent: `public`. */
  readonly accepts?: DataClass
  /** Limits of all matching rules; absent where none of them has any. */
  readonly quotas?: readonly Quota[]
  /** `drop`: what the sandbox sends to authenticate is dropped where the destination is brokered. */
  readonly clientAuth: 'drop' | 'pass'
  readonly placeholderInBody: 'pass' | 'refuse'
  /** Bytes of the pack of a push at the most, the smallest of all matching rules. */
  readonly maxPackBytes?: number
  /** What records keep of what is said, the fullest of all matching rules; what is not there is the configuration's. */
  readonly record?: Partial<ContentModes>
  /** `sha256:` and 64 hex digits of the definitions of tools by their names, of all matching rules. */
  readonly pins?: ReadonlyMap<string, string>
}

/** Which resolved addresses may be dialed beyond the public ones, and which never. */
export interface AddressPolicy {
  /** Ranges that matching rules list under `addresses`, and literal range rules that cover this port. */
  readonly allowed: readonly Cidr[]
  /** Ranges of deny rules that cover this port and scheme. */
  readonly denied: readonly Cidr[]
  /** Of the task's ancestors: an address has to be acceptable to each of them too. */
  readonly also?: readonly AddressPolicy[]
}

/** One rule looked at, for `explain`. */
export interface TraceStep {
  readonly rule: RuleRef
  readonly verdict: Verdict
  readonly matched: boolean
  /** The furthest dimension that the call did not meet, where it did not match. */
  readonly failedAt?:
    | 'host'
    | 'scheme'
    | 'port'
    | 'method'
    | 'path'
    | 'query'
    | 'headers'
    | InsideKey
    | 'environment'
    | 'between'
    | 'when'
    | 'condition-error'
    | 'expired'
    | 'always-allow'
  /** The parts of the rule's condition, where the call got as far as to it. */
  readonly clauses?: readonly Clause[]
  /** `file:line:column` of the rule. */
  readonly at: string
  /** Whose rule it is: 1 for the parent's, 2 for its parent's; absent for the task's own. */
  readonly ancestor?: number
}

/** The answer for one call. */
export interface Decision {
  /** `hold`: a person decides. */
  readonly verdict: Verdict
  readonly reason: Reason
  readonly rule?: RuleRef
  /** Whose rules refused it where not the task's own: 1 is the parent, 2 the parent's parent. */
  readonly ancestor?: number
  readonly obligations: Obligations
  readonly addresses: AddressPolicy
  /**
   * On an answer by the head alone: the recognisers whose content decides; with it the same question is asked again.
   * Absent where there are none.
   */
  readonly inspectors?: readonly Inspector[]
  /** Who may let it pass; there where the verdict is `hold`. */
  readonly hold?: HoldTerms
  /** Epoch milliseconds at which time may change the answer; absent where it cannot. */
  readonly revisitAt?: number
  /** In observe mode: the reason for which an enforcing rule set would have denied. */
  readonly wouldDeny?: Reason
  /** `sha256:` over all sets in force for the task, and for its ancestors where it has any. */
  readonly policy: string
}

/** The answer for a CONNECT: may a tunnel to this host and port open, and what is looked at inside. */
export interface ConnectDecision extends Decision {
  /** `inspect`: TLS is intercepted and HTTP judged call by call; `tls`: passed through, SNI compared; `tcp`: relayed. */
  readonly mode: 'inspect' | 'tls' | 'tcp'
  /**
   * Nothing may leave for an inspected tunnel itself, only for calls inside: a person has to let each of them through, or none
   * may be sent after what was read.
   */
  readonly isSilent?: true
}
