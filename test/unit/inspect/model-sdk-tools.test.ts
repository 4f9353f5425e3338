// Holds the tables of tools and members to what the providers' SDKs declare: a type that they add must be looked at here.

import { readFileSync } from 'node:fs'

import t from 'tap'
import ts from 'typescript'

import type { ModelEndpoint } from '../../../src/inspect/model/api.ts'
import { isKnownMember } from '../../../src/inspect/model/members.ts'
import { nameTools } from '../../../src/inspect/model/tool-kinds.ts'

const OPENAI = 'node_modules/openai/resources'
const ANTHROPIC = 'node_modules/@anthropic-ai/sdk/resources'

interface Declarations {
  readonly interfaces: ReadonlyMap<string, ts.InterfaceDeclaration>
  readonly aliases: ReadonlyMap<string, ts.TypeNode>
}

function readDeclarations(file: string): Declarations {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
  const interfaces = new Map<string, ts.InterfaceDeclaration>()
  const aliases = new Map<string, ts.TypeNode>()
  const visit = (statements: readonly ts.Statement[], prefix: string): void => {
    for (const statement of statements) {
      if (ts.isInterfaceDeclaration(statement))
        interfaces.set(prefix + statement.name.text, statement)
      else if (ts.isTypeAliasDeclaration(statement))
        aliases.set(prefix + statement.name.text, statement.type)
      else if (
        ts.isModuleDeclaration(statement) &&
        statement.body &&
        ts.isModuleBlock(statement.body)
      )
        visit(statement.body.statements, `${prefix}${statement.name.text}.`)
    }
  }
  visit(source.statements, '')
  return { interfaces, aliases }
}

// The values that `type` may have in each member of a union; undefined stands for a member that need not have one.
function typesOf(declarations: Declarations, union: string): Map<string, string[]> {
  const alias = declarations.aliases.get(union)
  if (!alias) throw new Error(`no union ${union}`)
  const members = ts.isUnionTypeNode(alias) ? alias.types : [alias]
  return new Map(
    members.map((member) => {
      const name = member.getText()
      const property = declarations.interfaces
        .get(name)
        ?.members.filter((each) => ts.isPropertySignature(each))
        .find((each) => each.name.getText() === 'type')
      if (!property?.type) throw new Error(`no type of ${name}`)
      return [name, [...property.type.getText().matchAll(/'([^']+)'/g)].map(([, type]) => type!)]
    }),
  )
}

function membersOf(declarations: Declarations, name: string): string[] {
  const declaration = declarations.interfaces.get(name)
  if (!declaration) throw new Error(`no interface ${name}`)
  return declaration.members.flatMap((member) => (member.name ? [member.name.getText()] : []))
}

// Who runs each type of tool that the SDK of OpenAI declares.
const CLIENT = [
  'function',
  'custom',
  'computer',
  'computer_use_preview',
  'local_shell',
  'apply_patch',
  // Only a list of others.
  'namespace',
]
const SERVER = [
  'file_search',
  'web_search',
  'web_search_2025_08_26',
  'web_search_preview',
  'web_search_preview_2025_03_11',
  'mcp',
  'code_interpreter',
  'programmatic_tool_calling',
  'image_generation',
  'shell',
  'tool_search',
]

void t.test('every tool type that the OpenAI SDK declares is classified', (t) => {
  const responses = readDeclarations(`${OPENAI}/responses/responses.d.ts`)
  const chat = readDeclarations(`${OPENAI}/chat/completions/completions.d.ts`)
  const types = [
    ...typesOf(responses, 'Tool').values(),
    ...typesOf(chat, 'ChatCompletionTool').values(),
  ].flat()
  t.ok(types.length >= 15)
  t.strictSame(
    [...new Set(types)].filter((type) => ![...CLIENT, ...SERVER].includes(type)),
    [],
  )
  for (const type of CLIENT) t.strictSame(nameTools({ type }, 'openai'), [], type)
  for (const type of SERVER) t.strictSame(nameTools({ type }, 'openai'), [type], type)
  t.end()
})

void t.test('a tool that may run on either side is the client’s only where it says so', (t) => {
  t.strictSame(nameTools({ type: 'shell', environment: { type: 'local' } }, 'openai'), [])
  t.strictSame(nameTools({ type: 'shell', environment: { type: 'container_auto' } }, 'openai'), [
    'shell',
  ])
  t.strictSame(nameTools({ type: 'tool_search', execution: 'client' }, 'openai'), [])
  t.strictSame(nameTools({ type: 'tool_search', execution: 'server' }, 'openai'), ['tool_search'])
  t.strictSame(nameTools({ type: 'not_yet_known' }, 'openai'), ['not_yet_known'])
  t.strictSame(nameTools({ type: 'Function' }, 'openai'), ['Function'])
  t.strictSame(nameTools({ type: 7 }, 'openai'), ['unknown'])
  t.strictSame(nameTools('web_search', 'openai'), ['unknown'])
  t.strictSame(nameTools({ function: { name: 'get' } }, 'openai'), [])
  t.end()
})

void t.test('who runs a tool of Anthropic is what its SDK declares', (t) => {
  for (const [file, all, clients] of [
    ['messages/messages.d.ts', 'ToolUnion', 'ClientToolUnion'],
    ['beta/messages/messages.d.ts', 'BetaToolUnion', 'BetaClientToolUnion'],
  ] as const) {
    const declarations = readDeclarations(`${ANTHROPIC}/${file}`)
    const clientTypes = new Set([...typesOf(declarations, clients).values()].flat())
    t.ok(clientTypes.size >= 5)
    for (const type of [...typesOf(declarations, all).values()].flat())
      t.strictSame(nameTools({ type }, 'anthropic'), clientTypes.has(type) ? [] : [type], type)
  }
  t.strictSame(nameTools({ name: 'get', input_schema: {} }, 'anthropic'), [])
  t.strictSame(nameTools({ type: 'bash_2025012', name: 'bash' }, 'anthropic'), ['bash_2025012'])
  t.strictSame(nameTools({ type: 'bash_20250124_v2', name: 'bash' }, 'anthropic'), [
    'bash_20250124_v2',
  ])
  t.end()
})

void t.test('every member of a request that the SDKs declare is known', (t) => {
  const rows: readonly (readonly [string, string, ModelEndpoint])[] = [
    [`${OPENAI}/chat/completions/completions.d.ts`, 'ChatCompletionCreateParamsBase', 'chat'],
    [`${OPENAI}/completions.d.ts`, 'CompletionCreateParamsBase', 'completions'],
    [`${OPENAI}/responses/responses.d.ts`, 'ResponseCreateParamsBase', 'responses'],
    [`${OPENAI}/embeddings.d.ts`, 'EmbeddingCreateParams', 'embeddings'],
    [`${OPENAI}/moderations.d.ts`, 'ModerationCreateParams', 'moderations'],
    [`${ANTHROPIC}/messages/messages.d.ts`, 'MessageCreateParamsBase', 'messages'],
    [`${ANTHROPIC}/beta/messages/messages.d.ts`, 'MessageCreateParamsBase', 'messages'],
    [`${ANTHROPIC}/beta/messages/messages.d.ts`, 'MessageCountTokensParams', 'messages-count'],
  ]
  for (const [file, name, endpoint] of rows) {
    const members = membersOf(readDeclarations(file), name)
    // Run by the provider, so not known as harmless.
    const unknown = members.filter((member) => !isKnownMember(endpoint, member))
    t.strictSame(unknown, endpoint === 'chat' ? ['web_search_options'] : [], `${name} of ${file}`)
  }
  t.end()
})
