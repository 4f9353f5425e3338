// What calls may have inside, made from what rules that look inside say: names for their patterns, and a body of no kind that
// any rule looks for. With it `narrow.ts` shows that a child's rules let something pass that its parent's do not. Pure.

import type {
  BoundInside,
  BoundPattern,
  GitKeys,
  GraphqlKeys,
  McpKeys,
  ModelKeys,
} from './inside.ts'
import type { Entry } from './bound-rule.ts'
import type { Content, GitCommand, GraphqlOperation, ModelSubject } from './subject.ts'
import type { Glob } from './template.ts'

/** Something inside a call, and how it is told. */
export interface InsideWitness {
  readonly content: Content
  readonly text: string
}

const WORD = 'w1tness'
const CONTENTS_MAX = 24
const LISTS = ['tools', 'resources', 'prompts'] as const
const TYPES = ['query', 'mutation', 'subscription'] as const
const NOTHING: InsideWitness = { content: {}, text: 'with a body of no kind that is looked for' }

/** Makes what a call may have inside, from an allow first and then from rules that it may meet. */
export function makeContents(entries: readonly Entry[]): InsideWitness[] {
  const made = entries.flatMap(({ rule }) => (rule.inside ? makeInside(rule.inside) : []))
  const distinct = new Map([NOTHING, ...made].map((each) => [each.text, each]))
  return [...distinct.values()].slice(0, CONTENTS_MAX)
}

function makeInside({ mcp, model, graphql, git }: BoundInside): InsideWitness[] {
  return [
    ...(mcp ? makeItems(mcp) : []),
    ...(model ? makeQuestions(model) : []),
    ...(graphql ? makeOperations(graphql) : []),
    ...(git ? makeGit(git) : []),
  ]
}

function fill(glob: Glob): string {
  return typeof glob === 'string' ? glob : glob.join(WORD)
}

function fillAll(patterns: readonly BoundPattern[] | undefined): string[] {
  return patterns === undefined ? [WORD] : patterns.map(({ glob }) => fill(glob))
}

function makeItems(mcp: McpKeys<BoundPattern>): InsideWitness[] {
  const session: InsideWitness = {
    content: { mcp: { kind: 'session', method: 'tools/list' } },
    text: 'with an MCP message',
  }
  const items = LISTS.flatMap((list) =>
    (mcp[list] ?? []).map(({ glob }): InsideWitness => {
      const name = fill(glob)
      return {
        content: { mcp: { kind: 'item', method: list, list, name } },
        text: `with ${name} of ${list}`,
      }
    }),
  )
  return [session, ...items]
}

function makeQuestions({
  models,
  maxTokens,
  serverTools,
}: ModelKeys<BoundPattern>): InsideWitness[] {
  const tools = typeof serverTools === 'object' ? fillAll(serverTools) : [WORD]
  const ask = (subject: Partial<ModelSubject>, text: string): InsideWitness => ({
    content: {
      model: {
        operation: 'chat',
        model: undefined,
        hasOutput: true,
        maxTokens,
        serverTools: [],
        ...subject,
      },
    },
    text,
  })
  return fillAll(models).flatMap((model) => [
    ask({ model }, `with ${model} asked for ${maxTokens ?? 'any'} tokens`),
    ...tools.map((tool) => ask({ model, serverTools: [tool] }, `with ${model} given ${tool}`)),
  ])
}

function makeOperations({
  operations = TYPES,
  fields = [[WORD]],
  introspection,
}: GraphqlKeys): InsideWitness[] {
  const write = (path: readonly string[]): string[] =>
    path.map((name) => (name === '*' ? WORD : name))
  const ask = (operation: GraphqlOperation, text: string): InsideWitness => ({
    content: { graphql: { operations: [operation] } },
    text,
  })
  const asked = operations.flatMap((type) =>
    fields.map((pattern) => {
      const path = write(pattern)
      const way = path.map((_, at) => path.slice(0, at + 1))
      return ask({ type, fields: way, introspection: false }, `with ${type} ${path.join('.')}`)
    }),
  )
  const schema: GraphqlOperation = { type: 'query', fields: [['__schema']], introspection: true }
  return introspection ? [...asked, ask(schema, 'with query __schema')] : asked
}

function makeGit({ repos, push, force }: GitKeys<BoundPattern>): InsideWitness[] {
  return fillAll(repos).flatMap((repo) => {
    const ask = (service: 'upload-pack' | 'receive-pack', command?: GitCommand): InsideWitness => ({
      content: { git: { repo, service, commands: command ? [command] : [] } },
      text: `with ${service} of ${repo}${command ? `: ${command.change} ${command.ref}` : ''}`,
    })
    const changes = force ? (['create', 'delete'] as const) : (['create'] as const)
    const pushed = push || force ? fillAll(push) : []
    return [
      ask('upload-pack'),
      ...pushed.flatMap((ref) => changes.map((change) => ask('receive-pack', { ref, change }))),
    ]
  })
}
