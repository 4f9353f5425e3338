// What a condition may name, with its type: the table that the documentation, the checker and the evaluation all go by. Members
// are only ever added. Pure; called by `language.ts` and `compile.ts`.

import type { ConditionFacts } from './condition-facts.ts'
import { single } from './condition-facts.ts'
import type { Content } from '../subject.ts'
import type { Run } from './run.ts'
import type { Value } from './values.ts'
import { Fault, fromJson, Instant } from './values.ts'

/** What evaluating a condition needs to have read, or depends on, beyond the head as it stands. */
export type Reads =
  'mcp' | 'graphql' | 'git' | 'body' | 'now' | 'method' | 'path' | 'query' | 'headers'

/** A member that has a value. */
export interface Leaf {
  /** As CEL writes it. */
  readonly type: string
  readonly reads?: Reads
  /** Undefined where it is not known. */
  readonly read: (run: Run) => Value | undefined
}

/** Members of one thing. */
export interface Members {
  readonly reads?: Reads
  /** Whether it is there at all; absent: always. */
  readonly isThere?: (facts: ConditionFacts) => boolean
  readonly members: Readonly<Record<string, Node>>
}

/** What stands behind a name. */
export type Node = Leaf | Members

const STRINGS = 'map<string, string>'
const MANY_STRINGS = 'map<string, list<string>>'

const leaf = (type: string, read: Leaf['read'], reads?: Reads): Leaf => ({
  type,
  read,
  ...(reads && { reads }),
})

const TASK: Members = {
  members: {
    intent: leaf('string', ({ facts }) => facts.task.intent),
    labels: leaf(STRINGS, ({ facts }) => facts.labels),
    owner: {
      isThere: ({ task }) => task.owner !== undefined,
      members: {
        name: leaf('string', ({ facts }) => facts.task.owner?.name),
        team: leaf('string', ({ facts }) => facts.task.owner?.team),
      },
    },
    agent: {
      isThere: ({ task }) => task.agent !== undefined,
      members: {
        account: leaf('string', ({ facts }) => facts.task.agent?.account),
        instance: leaf('string', ({ facts }) => facts.task.agent?.instance),
      },
    },
    environment: leaf('string', ({ facts }) => facts.task.environment),
    params: leaf(STRINGS, ({ facts }) => facts.params),
    ceiling: leaf('string', ({ facts }) => facts.task.ceiling),
    depth: leaf('int', ({ facts }) => asInt(facts.task.depth)),
    capabilities: leaf('list<string>', ({ facts }) => facts.task.capabilities),
  },
}

const CALL: Members = {
  members: {
    host: leaf('string', ({ facts }) => facts.endpoint.host),
    port: leaf('int', ({ facts }) => asInt(facts.endpoint.port)),
    method: leaf('string', ({ reading }) => reading.method, 'method'),
    path: leaf('string', ({ reading }) => pathOf(reading.segments), 'path'),
    segments: leaf('list<string>', ({ reading }) => reading.segments, 'path'),
    query: leaf(STRINGS, (run) => readable(run, single), 'query'),
    queryAll: leaf(MANY_STRINGS, (run) => readable(run, (values) => values), 'query'),
    headers: leaf(STRINGS, ({ facts }) => single(facts.headers), 'headers'),
    headersAll: leaf(MANY_STRINGS, ({ facts }) => facts.headers, 'headers'),
    body: {
      reads: 'body',
      isThere: ({ question }) => question?.content?.body !== undefined,
      members: {
        json: leaf('dyn', ({ facts }) => jsonOf(facts.question?.content), 'body'),
      },
    },
    tool: {
      reads: 'mcp',
      isThere: ({ tool }) => tool !== undefined,
      members: {
        name: leaf('string', ({ facts }) => facts.tool?.name, 'mcp'),
        arguments: leaf('dyn', ({ facts }) => facts.tool?.arguments, 'mcp'),
      },
    },
    graphql: {
      reads: 'graphql',
      isThere: ({ question }) => question?.content?.graphql !== undefined,
      members: {
        operations: leaf('list<operation>', ({ facts }) => facts.operations, 'graphql'),
      },
    },
    git: {
      reads: 'git',
      isThere: ({ question }) => question?.content?.git !== undefined,
      members: {
        repo: leaf('string', ({ facts }) => facts.question?.content?.git?.repo, 'git'),
        service: leaf('string', ({ facts }) => facts.question?.content?.git?.service, 'git'),
        commands: leaf('list<command>', ({ facts }) => facts.commands, 'git'),
      },
    },
  },
}

/** The names of a condition. */
export const ENVIRONMENT: Readonly<Record<string, Node>> = {
  task: TASK,
  call: CALL,
  destination: {
    members: {
      data: leaf('string', ({ destination }) => destination.data),
      environment: leaf('string', ({ destination }) => destination.environment),
    },
  },
  now: leaf('google.protobuf.Timestamp', ({ facts }) => new Instant(facts.now), 'now'),
}

/** Types of what lists have in them, by name. */
export const ITEM_TYPES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  operation: { type: 'string', fields: 'list<string>' },
  command: { ref: 'string', change: 'string' },
}

/** Members that hold a class of data. */
export const CLASS_MEMBERS: ReadonlySet<string> = new Set(['task.ceiling', 'destination.data'])

/** Whether something has members of its own instead of a value. */
export function hasMembers(node: Node): node is Members {
  return 'members' in node
}

function asInt(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(value)
}

function readable(
  { facts, reading }: Run,
  view: (values: ReadonlyMap<string, readonly string[]>) => Value | undefined,
): Value | undefined {
  if (reading.query === undefined) return undefined
  const values = facts.valuesOf(reading.query)
  return values ? view(values) : new Fault('the query cannot be read')
}

function jsonOf(content: Content | undefined): Value | undefined {
  return content?.body && fromJson(content.body.json)
}

function pathOf(segments: readonly string[] | undefined): string | undefined {
  return segments && `/${segments.join('/')}`
}
