// The shape of one record: ECS field names nested, our own below `sallyport`, which is always the last member so that
// the journal can add the chain without writing the text twice. Types only; `ecs.ts` builds records, `journal.ts` keeps them.

import type { Message } from '../call.ts'
import type { InspectedFields } from '../inspect/fields.ts'
import type { DataClass, Delegation, TaskProof } from '../tasks/task.ts'
import type { Checkpoint } from './proof/checkpoint.ts'

/** ECS `event.*` of a record. */
interface RecordEvent {
  /** A ULID; sinks may deliver a record twice, and this is what tells the copies. */
  readonly id: string
  readonly kind: 'event' | 'alert'
  readonly category: readonly string[]
  readonly action: string
  readonly type: readonly string[]
  readonly outcome: 'success' | 'failure' | 'unknown'
  readonly reason: string | undefined
  /** Nanoseconds. */
  readonly duration: number | undefined
}

/** Who acted, as far as a record says. */
export interface RecordTask {
  readonly id: string
  readonly path: readonly string[]
  readonly agent: string
  readonly instance: string
  readonly owner: string
  /** `local` where the owner is the operating system's user and nobody else says so; absent otherwise. */
  readonly owner_source: 'local' | undefined
  readonly team: string
  readonly sandbox: string
  /** `sha256:` of the intent. */
  readonly intent: string
  /** The person on whose behalf the agent acts. */
  readonly principal: string | undefined
  /** Whether nobody asked for it: neither a person nor a task above. */
  readonly autonomous: boolean
  /** Who asked whom, from the root task down to the parent. */
  readonly delegation: readonly Delegation[] | undefined
  /** What is known of whether it may be trusted. */
  readonly posture: RecordPosture
}

/** In what state a task is trusted: what proves it, what was shown of its sandbox, how far it may go. */
interface RecordPosture {
  /** Each of them is enough. */
  readonly proofs: readonly TaskProof[]
  /** `sha256:` of the evidence that was accepted. */
  readonly evidence: string | undefined
  /** `sha256:` of the image that the sandbox was started from, as it was said. */
  readonly image: string | undefined
  readonly environment: string
  /** The highest class of data it may touch. */
  readonly ceiling: DataClass
}

/** Where a record stands in the chain; the journal alone makes it. */
export interface RecordChain {
  /** 1 for the first record of a journal. */
  readonly seq: number
  /** Lower-case hex SHA-256 of the line before, without its newline; zeros for the first. */
  readonly prev: string
  /** The same among the records of its task alone, so that one task can be proved without the others. */
  readonly task?: { readonly seq: number; readonly prev: string }
}

/** What a detection says: what was seen, how bad it is, and the records that it is made of. */
export interface RecordDetection {
  /** Lower case, hyphens: `denial-storm`, `first-seen-destination`, …. */
  readonly name: string
  readonly severity: 'low' | 'medium' | 'high'
  /** Ids of the OWASP Top 10 for Agentic Applications: `ASI02`, …. */
  readonly asi: readonly string[]
  /** Ids of the calls whose records explain it, the first and the last ones where they are many. */
  readonly calls: readonly string[]
  /** How many calls it is made of. */
  readonly count: number
}

/** Our own part of a record. */
interface RecordSallyport {
  readonly schema: 1
  readonly mode: 'enforce' | 'observe' | undefined
  readonly call:
    | {
        readonly id: string
        readonly kind: string | undefined
        readonly parent: string | undefined
        /** The door it came by; absent: the explicit proxy. */
        readonly door: 'socks' | 'transparent' | undefined
      }
    | undefined
  /** Of a message inside the call. */
  readonly message?: Pick<Message, 'id' | 'direction' | 'kind'> | undefined
  readonly task: RecordTask | undefined
  readonly decision:
    | {
        readonly id: string
        readonly verdict: 'allow' | 'deny' | 'hold'
        readonly reason: string
        readonly policy: string
        readonly us: number
        readonly would_deny: string | undefined
        /** The class of what comes back, where the matching rules name one. */
        readonly data?: DataClass | undefined
        /** The laws that it falls under, as the matching rules name them. */
        readonly regulation?: readonly string[] | undefined
        /** The kinds of data that come back, as the matching rules name them. */
        readonly category?: readonly string[] | undefined
        /** The highest class that the tree of the task had read by then, where that is above public. */
        readonly read?: DataClass | undefined
      }
    | undefined
  readonly credential: { readonly name: string; readonly action: string | undefined } | undefined
  readonly inspection: 'full' | 'connect' | 'none' | undefined
  /** The hold that the call waited for, and who let it through; absent where no rule held it. */
  readonly hold?:
    | { readonly id: string; readonly by: string | undefined; readonly at: string | undefined }
    | undefined
  /** Fields of the request's head that the configuration lists, by their names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly content?: InspectedFields['content'] | undefined
  /** Where the client thought it was going, and how that compares with where the call went; it decides nothing. */
  readonly dialed?:
    | {
        readonly ip: string
        readonly port: number
        readonly match: 'upstream' | 'resolved' | 'synthetic' | 'other' | undefined
      }
    | undefined
  readonly upstream:
    | {
        readonly tls: string | undefined
        /** What the proxy above was asked for; by `name` nobody here saw an address. */
        readonly connect_by?: 'address' | 'name' | undefined
      }
    | undefined
  readonly detection?: RecordDetection | undefined
  /** Of a `checkpoint` and of the seal of a task. */
  readonly checkpoint?: Checkpoint | undefined
  readonly detail: Readonly<Record<string, unknown>> | undefined
  readonly chain?: RecordChain
}

/** One record before it has its place in the chain, or as it was read back. Absent members are undefined. */
export interface RecordBody {
  readonly '@timestamp': string
  readonly ecs: { readonly version: string }
  readonly message: string | undefined
  readonly event: RecordEvent
  readonly rule:
    { readonly id: string; readonly ruleset: string; readonly version: string } | undefined
  readonly source:
    | {
        readonly ip: string | undefined
        readonly port: number | undefined
        /** What it sent into an opaque tunnel; calls of HTTP have theirs in `http`. */
        readonly bytes?: number | undefined
      }
    | undefined
  readonly destination:
    | {
        readonly domain: string | undefined
        readonly ip: string | undefined
        readonly port: number
        /** What came back through an opaque tunnel. */
        readonly bytes?: number | undefined
      }
    | undefined
  readonly url:
    | {
        readonly full: string
        readonly scheme: string
        readonly domain: string
        readonly port: number
        readonly path: string | undefined
        readonly query: string | undefined
      }
    | undefined
  readonly http:
    | {
        readonly version: string
        readonly request: {
          readonly id: string
          readonly method: string
          readonly bytes: number
        }
        readonly response:
          | {
              readonly status_code: number
              readonly bytes: number
              readonly mime_type: string | undefined
            }
          | undefined
      }
    | undefined
  readonly tls:
    | {
        readonly established: true
        readonly version: string | undefined
        readonly client: { readonly server_name: string | undefined }
      }
    | undefined
  readonly user_agent: { readonly original: string } | undefined
  /** Of a DNS query that was refused. */
  readonly dns?:
    | {
        readonly type: 'query'
        readonly question:
          { readonly name: string; readonly type: string; readonly class: string } | undefined
        /** Undefined: it was not answered. */
        readonly response_code: string | undefined
      }
    | undefined
  readonly gen_ai?: InspectedFields['gen_ai'] | undefined
  readonly mcp?: InspectedFields['mcp'] | undefined
  readonly jsonrpc?: InspectedFields['jsonrpc'] | undefined
  readonly rpc?: InspectedFields['rpc'] | undefined
  readonly error?: InspectedFields['error'] | undefined
  readonly trace?: { readonly id: string } | undefined
  /** The span of whoever made the call or sent the message. */
  readonly span?: { readonly id: string } | undefined
  /** What a detection is called in MITRE ATLAS. */
  readonly threat?:
    | {
        readonly framework: 'MITRE ATLAS'
        readonly technique: { readonly id: readonly string[]; readonly name: readonly string[] }
      }
    | undefined
  readonly sallyport: RecordSallyport
}
