// What conditions see of one call: the task, the request, what was read inside it, the time. Everything is worked out when it is
// first asked for and once a question, so that a call whose rules have no conditions pays nothing. Pure; made by `match.ts`,
// read by `environment.ts`.

import type { Endpoint } from '../../wire/authority.ts'
import type { RawHeaders } from '../../wire/body.ts'
import type { PathReadings } from '../../wire/path.ts'
import type { TaskFacts } from '../facts.ts'
import { readQuery, type QueryReading } from '../query.ts'
import type { Content } from '../subject.ts'
import { fromJson, SingleValued, type Value } from './values.ts'

type Values = ReadonlyMap<string, readonly string[]>

/** What conditions look at of a question. */
interface AskedCall {
  readonly endpoint: Endpoint
  readonly method: string
  readonly path: PathReadings
  readonly query: string | undefined
  readonly headers: RawHeaders
  readonly content?: Content
}

/** One question as conditions see it. */
export class ConditionFacts {
  readonly task: TaskFacts
  readonly endpoint: Endpoint
  /** Undefined for a tunnel. */
  readonly question: AskedCall | undefined
  /** Milliseconds since 1970. */
  readonly now: number
  #queries: readonly QueryReading[] | undefined
  #queryValues: Map<QueryReading, Values> | undefined
  #headers: Values | undefined
  #labels: ReadonlyMap<string, string> | undefined
  #params: ReadonlyMap<string, string> | undefined
  #operations: readonly Value[] | undefined
  #commands: readonly Value[] | undefined

  /** @param now milliseconds since 1970, by the clock of tasks */
  constructor(task: TaskFacts, asked: AskedCall | { readonly connect: Endpoint }, now: number) {
    this.task = task
    this.endpoint = 'connect' in asked ? asked.connect : asked.endpoint
    this.question = 'connect' in asked ? undefined : asked
    this.now = now
  }

  /** The readings of the query. */
  get queries(): readonly QueryReading[] {
    return (this.#queries ??= readQuery(this.question?.query))
  }

  /** The values of a query by their names; undefined where it cannot be read. */
  valuesOf(reading: QueryReading): Values | undefined {
    if (reading === 'unreadable') return undefined
    const read = (this.#queryValues ??= new Map())
    const known = read.get(reading)
    if (known) return known
    const values = gather(reading)
    read.set(reading, values)
    return values
  }

  /** The fields of the head by their names in lower case; undefined for a tunnel. */
  get headers(): Values | undefined {
    if (this.#headers || !this.question) return this.#headers
    const { headers } = this.question
    const fields: [string, string][] = []
    for (let at = 0; at + 1 < headers.length; at += 2)
      fields.push([headers[at]!.toLowerCase(), headers[at + 1]!])
    return (this.#headers = gather(fields))
  }

  /** Labels of the task; undefined where it has none. */
  get labels(): ReadonlyMap<string, string> | undefined {
    const { labels } = this.task
    return labels && (this.#labels ??= new Map(Object.entries(labels)))
  }

  /** Parameters of the task; undefined where they are not known. */
  get params(): ReadonlyMap<string, string> | undefined {
    const { params } = this.task
    return params && (this.#params ??= new Map(Object.entries(params)))
  }

  /** The tool call that the message is; undefined where it is none. */
  get tool(): { readonly name: string; readonly arguments: Value } | undefined {
    const { mcp } = this.question?.content ?? {}
    if (mcp?.kind !== 'item' || mcp.list !== 'tools' || mcp.name === undefined) return undefined
    // To call a tool without arguments is to call it with none.
    return { name: mcp.name, arguments: fromJson(mcp.arguments ?? {}) }
  }

  /** The operations of the GraphQL request, their fields as `repository.issues`; undefined where it is none. */
  get operations(): readonly Value[] | undefined {
    const { graphql } = this.question?.content ?? {}
    return (
      graphql &&
      (this.#operations ??= graphql.operations.map(({ type, fields }) => ({
        type,
        fields: fields.map((path) => path.join('.')),
      })))
    )
  }

  /** The commands of a push; undefined where it is no request of git. */
  get commands(): readonly Value[] | undefined {
    const { git } = this.question?.content ?? {}
    return git && (this.#commands ??= git.commands.map(({ ref, change }) => ({ ref, change })))
  }
}

/** The one view of values that conditions have most often. */
export function single(values: Values | undefined): SingleValued | undefined {
  return values && new SingleValued(values)
}

function gather(fields: readonly (readonly [string, string])[]): Values {
  const found = new Map<string, string[]>()
  for (const [name, value] of fields) {
    const values = found.get(name)
    if (values) values.push(value)
    else found.set(name, [value])
  }
  return found
}
