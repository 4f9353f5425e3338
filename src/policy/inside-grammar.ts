// The grammar of the keys that look inside calls: what may be written, and what it is read as. Which of them go together is
// `parse-across.ts`' matter. Pure; called by `grammar.ts` and `parse.ts`.

import { z } from 'zod'

import type { GraphqlKeys, Inside, McpKeys, ModelKeys } from './inside.ts'
import { list, oneOf, readBy, size, text } from './scalars.ts'
import {
  CONTENT_MODES,
  type ContentMode,
  type GraphqlOperation,
  type McpSubject,
} from './subject.ts'
import { parseTemplate, type Part } from './template.ts'
import type { PatternFault } from './path-pattern.ts'

type Patterns = readonly (readonly Part[])[]

/** The keys of a rule that look inside, read; which of them it may have depends on its verdict. */
export interface InsideSection {
  readonly tools?: Patterns | undefined
  readonly resources?: Patterns | undefined
  readonly prompts?: Patterns | undefined
  readonly pin?: Readonly<Record<string, string>> | undefined
  readonly models?: Patterns | undefined
  readonly maxTokens?: number | undefined
  readonly serverTools?: boolean | Patterns | undefined
  readonly graphql?:
    | {
        readonly operations?: readonly GraphqlOperation['type'][] | undefined
        readonly fields?: readonly (readonly string[])[] | undefined
        readonly introspection?: boolean | undefined
      }
    | undefined
  readonly git?:
    | {
        readonly repos?: Patterns | undefined
        readonly push?: Patterns | undefined
        readonly force?: boolean | undefined
        readonly maxPackBytes?: number | undefined
      }
    | undefined
  readonly record?:
    | { readonly prompts?: ContentMode | undefined; readonly tools?: ContentMode | undefined }
    | undefined
}

const MAPPING = 'expected a mapping'
const GRAPHQL = `${MAPPING} such as { operations: [query] }`
const GIT = `${MAPPING} such as { repos: [acme/widgets] }`
const FIELD = /^(?:\*|[A-Za-z_]\w*)(?:\.(?:\*|[A-Za-z_]\w*))*$/
const ANY = 'leave the key out where any will do'
const NONE = 'leave the key out where none is meant'

const pattern = readBy(text('a name'), (written): readonly Part[] | PatternFault => {
  const parts = parseTemplate(written)
  return typeof parts === 'string' ? { fault: parts } : parts
})
const flag = z.boolean({ error: 'expected true or false' })
const onlyTrue = z.literal(true, {
  error: 'expected true: leave the key out, false denies nothing',
})
const field = readBy(text('a field'), (written): readonly string[] | PatternFault => {
  if (FIELD.test(written)) return written.split('.')
  return { fault: 'expected names of the schema with dots between, such as repository.issues' }
})

/** The keys that look inside by their kind: a rule has those of one. */
export const KEYS_BY_KIND: Readonly<Record<string, readonly string[]>> = {
  MCP: ['tools', 'resources', 'prompts', 'pin'],
  'model APIs': ['models', 'maxTokens', 'serverTools'],
  GraphQL: ['graphql'],
  git: ['git'],
}

const shared = {
  tools: list(pattern, 'tools', NONE)
    .optional()
    .describe('MCP: tools by name, `*` any characters. Absent beside other MCP keys: none.'),
  resources: list(pattern, 'resources', NONE)
    .optional()
    .describe('MCP: resources by URI, `*` any characters. Absent beside other MCP keys: none.'),
  prompts: list(pattern, 'prompts', NONE)
    .optional()
    .describe('MCP: prompts by name, `*` any characters. Absent beside other MCP keys: none.'),
  models: list(pattern, 'models', ANY)
    .optional()
    .describe('Models by name, `*` any characters. Absent: any.'),
}
const operations = list(oneOf(['query', 'mutation', 'subscription']), 'operations', ANY).optional()
const fields = list(field, 'fields', ANY)
  .optional()
  .describe('Names of the schema from the root on, such as repository.issues; `*` is one name.')
const repos = list(pattern, 'repositories', ANY)
  .optional()
  .describe('Such as acme/widgets, `*` any characters. Absent: any.')
const push = list(pattern, 'references', NONE)
  .optional()
  .describe('Full names such as refs/heads/agent/*. On an allow absent: no pushes.')
const record = oneOf(CONTENT_MODES).optional()

const graphqlShape = { operations, fields, introspection: flag.optional() }
const gitShape = { repos, push, force: flag.optional(), maxPackBytes: size.optional() }
const recordShape = { prompts: record, tools: record }

type Shape<Key extends keyof InsideSection> = {
  readonly [Each in Key]: z.ZodType<InsideSection[Each]>
}

/** On an allow. */
export const INSIDE_ALLOW_SHAPE: Shape<keyof InsideSection> = {
  ...shared,
  pin: z
    .record(
      z.string().min(1, { error: 'expected the name of a tool' }),
      z.string({ error: 'expected sha256: and 64 hex digits' }).regex(/^sha256:[0-9a-f]{64}$/, {
        error: 'expected sha256: and 64 hex digits in lower case',
      }),
      { error: MAPPING },
    )
    .optional()
    .describe("MCP: digests of tools' definitions by name; any other definition is refused."),
  maxTokens: z
    .int({ error: 'expected a number of tokens' })
    .positive({ error: 'expected at least 1' })
    .optional()
    .describe('Tokens of output that a question has to ask for at the most.'),
  serverTools: z
    .union([flag, list(pattern, 'server tools', 'write false where none is meant')], {
      error: 'expected true, false or a list of names',
    })
    .optional()
    .describe('What the provider may run by itself: false none, true any, or a list. Absent: any.'),
  graphql: z.strictObject(graphqlShape, { error: GRAPHQL }).optional(),
  git: z.strictObject(gitShape, { error: GIT }).optional(),
  record: z
    .strictObject(recordShape, { error: `${MAPPING} such as { prompts: digest }` })
    .optional()
    .describe('What records keep of what is said. Absent: as configured.'),
}

/** On a deny. */
export const INSIDE_DENY_SHAPE: Shape<
  Exclude<keyof InsideSection, 'pin' | 'maxTokens' | 'record'>
> = {
  ...shared,
  serverTools: z
    .union([onlyTrue, list(pattern, 'server tools', 'write true where any is meant')], {
      error: 'expected true or a list of names',
    })
    .optional()
    .describe('What the provider may not run by itself: true anything, or a list.'),
  graphql: z
    .strictObject({ ...graphqlShape, introspection: onlyTrue.optional() }, { error: GRAPHQL })
    .optional(),
  git: z.strictObject({ repos, push, force: onlyTrue.optional() }, { error: GIT }).optional(),
}

/** What a test of a rule file says of what is inside its call, read. */
export interface TestedSection {
  readonly tool?: string | undefined
  readonly args?: Readonly<Record<string, unknown>> | undefined
  readonly resource?: string | undefined
  readonly prompt?: string | undefined
  readonly body?: string | undefined
}

/** In a test. */
export const TESTED_SHAPE: {
  readonly [Key in keyof TestedSection]-?: z.ZodType<TestedSection[Key]>
} = {
  tool: text('the name of a tool').optional().describe('MCP: the call is one of this tool.'),
  args: z
    .record(z.string(), z.unknown(), { error: MAPPING })
    .optional()
    .describe("MCP: the tool's arguments."),
  resource: text('a URI').optional().describe('MCP: the call reads this resource.'),
  prompt: text('the name of a prompt').optional().describe('MCP: the call gets this prompt.'),
  body: z
    .string({ error: 'expected a text: put it in quotes' })
    .optional()
    .describe('The body of the request, read as a live one is.'),
}

/** The MCP message that a test is about; undefined where it names none. */
export function makeItem({ tool, args, resource, prompt }: TestedSection): McpSubject | undefined {
  if (tool !== undefined)
    return {
      kind: 'item',
      method: 'tools/call',
      list: 'tools',
      name: tool,
      ...(args && { arguments: args }),
    }
  if (resource !== undefined)
    return { kind: 'item', method: 'resources/read', list: 'resources', name: resource }
  if (prompt === undefined) return undefined
  return { kind: 'item', method: 'prompts/get', list: 'prompts', name: prompt }
}

/** The keys of the mappings among them. */
export const INSIDE_KEYS: Readonly<Record<'graphql' | 'git' | 'record', readonly string[]>> = {
  graphql: Object.keys(graphqlShape),
  git: Object.keys(gitShape),
  record: Object.keys(recordShape),
}

/** Puts together what was read; undefined where nothing looks inside. */
export function makeInside(read: InsideSection): Inside | undefined {
  const mcp = makeMcp(read)
  const model = makeModel(read)
  const { graphql, git } = read
  if (!mcp && !model && !graphql && !git) return undefined
  return {
    ...(mcp && { mcp }),
    ...(model && { model }),
    ...(graphql && { graphql: makeGraphql(graphql) }),
    ...(git && {
      git: {
        ...(git.repos && { repos: git.repos }),
        ...(git.push && { push: git.push }),
        force: git.force ?? false,
        ...(git.maxPackBytes !== undefined && { maxPackBytes: git.maxPackBytes }),
      },
    }),
  }
}

function makeMcp(read: InsideSection): McpKeys<readonly Part[]> | undefined {
  const { tools, resources, prompts, pin } = read
  if ((tools ?? resources ?? prompts ?? pin) === undefined) return undefined
  return {
    ...(tools && { tools }),
    ...(resources && { resources }),
    ...(prompts && { prompts }),
    ...(pin && { pins: new Map(Object.entries(pin)) }),
  }
}

function makeModel(read: InsideSection): ModelKeys<readonly Part[]> | undefined {
  const { models, maxTokens, serverTools } = read
  if ((models ?? maxTokens ?? serverTools) === undefined) return undefined
  return {
    ...(models && { models }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(serverTools !== undefined && { serverTools }),
  }
}

function makeGraphql(read: NonNullable<InsideSection['graphql']>): GraphqlKeys {
  return {
    ...(read.operations && { operations: read.operations }),
    ...(read.fields && { fields: read.fields }),
    introspection: read.introspection ?? false,
  }
}
