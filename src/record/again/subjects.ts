// What rules see inside calls, read back from the fields of a record: of git, GraphQL and models. Pure; the other side of what
// `inspect/` writes. Called by `inputs.ts`.

import type {
  Content,
  GitCommand,
  GraphqlOperation,
  GraphqlSubject,
  ModelSubject,
} from '../../policy/subject.ts'
import type { RecordBody } from '../body.ts'

type Recorded = NonNullable<RecordBody['sallyport']['content']>

const COMMAND = /^(create|update|delete) (\S+)(?: (fast-forward|unproven))?$/
// As many as a record has at the most: there may have been more.
const GRAPHQL_RECORDED_MAX = 64
const GRAPHQL_CHARACTERS_MAX = 256
const WITHOUT_OUTPUT: ReadonlySet<string> = new Set(['embeddings', 'moderation', 'count_tokens'])
const MODEL_CHARACTERS_MAX = 256

/** A request of git; `cut` where the record does not have all of it. */
export function gitSubject({
  repo,
  service,
  commands,
}: NonNullable<Recorded['git']>): Content | 'cut' {
  if (service !== 'upload-pack' && service !== 'receive-pack') return 'cut'
  if (commands.some((text) => text.includes('…'))) return 'cut'
  // What an option makes a server do no rule can say.
  if (commands.some((text) => text.startsWith('option '))) return { fault: 'operation-not-allowed' }
  const read: GitCommand[] = []
  for (const text of commands) {
    const [, change, ref, update] = COMMAND.exec(text) ?? []
    if (ref === undefined || (change !== 'create' && change !== 'update' && change !== 'delete'))
      return 'cut'
    const isTold = update === 'fast-forward' || update === 'unproven'
    read.push({ ref, change, ...(isTold && { update }) })
  }
  return { git: { repo, service, commands: read } }
}

/** A GraphQL request; `mixed` where the record does not say enough: fields of several operations stand together. */
export function graphqlSubject({
  operations,
  fields,
}: NonNullable<Recorded['graphql']>): GraphqlSubject | 'mixed' {
  const isCut = [...operations, ...fields].some((text) => text.length >= GRAPHQL_CHARACTERS_MAX)
  const [first, ...others] = operations
  if (isCut || others.length > 0 || fields.length >= GRAPHQL_RECORDED_MAX) return 'mixed'
  if (first === undefined) return { operations: [] }
  const type = typeOf(first)
  if (type === undefined) return 'mixed'
  const paths = fields.map((field) => field.split('.'))
  const introspection = paths.some(([root]) => root === '__schema' || root === '__type')
  return { operations: [{ type, fields: paths, introspection }] }
}

function typeOf(operation: string): GraphqlOperation['type'] | undefined {
  const [word] = operation.split(' ')
  return word === 'query' || word === 'mutation' || word === 'subscription' ? word : undefined
}

/** A question to a model; undefined where the record is of none. */
export function modelSubject({ gen_ai: asked, sallyport }: RecordBody): ModelSubject | undefined {
  const operation = asked?.operation?.name
  if (asked?.request === undefined || operation === undefined) return undefined
  const { model, max_tokens: maxTokens } = asked.request
  // Of a longer name the record has a part, and no rule can be held against that.
  if (model !== undefined && model.length >= MODEL_CHARACTERS_MAX) return undefined
  return {
    operation,
    model,
    hasOutput: !WITHOUT_OUTPUT.has(operation),
    maxTokens,
    serverTools: sallyport.content?.server_tools ?? [],
  }
}
