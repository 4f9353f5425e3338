// Who runs a tool that a request names, the client or the provider, and which members make a provider fetch. The tables are
// those of the APIs' own declarations; a type that is not in them is the provider's. Called by `server-tools.ts`.

import type { JsonValue } from '../fields.ts'
import type { ModelFamily } from './provider.ts'
import type { JsonObject } from '../json-values.ts'
import { asList, asObject, asText, memberOf } from './shape.ts'

const OPENAI_CLIENT: ReadonlySet<string> = new Set([
  'function',
  'custom',
  'local_shell',
  'apply_patch',
  'computer',
  'computer_use_preview',
])
// Each is followed by the date of its version.
const ANTHROPIC_CLIENT =
  /^(?:bash|text_editor|computer|memory|browser_toolset|computer_toolset)_\d{8}$/
const GEMINI_CLIENT: ReadonlySet<string> = new Set([
  'functionDeclarations',
  'function_declarations',
  'computerUse',
  'computer_use',
])

/** The names of what the provider runs of one tool; none where the client runs it. */
export function nameTools(tool: JsonValue, family: ModelFamily): readonly string[] {
  const object = asObject(tool)
  if (object === undefined) return ['unknown']
  if (family === 'gemini') return Object.keys(object).filter((name) => !GEMINI_CLIENT.has(name))
  const type = memberOf(object, 'type')
  if (type === undefined || type === null)
    return isUntypedClientTool(object, family) ? [] : ['unknown']
  if (typeof type !== 'string') return ['unknown']
  if (family === 'anthropic') return nameAnthropicTool(type)
  return nameOpenAiTool(object, type)
}

function isUntypedClientTool(tool: JsonObject, family: ModelFamily): boolean {
  if (family === 'anthropic') return asText(memberOf(tool, 'name')) !== undefined
  return asObject(memberOf(tool, 'function')) !== undefined
}

function nameAnthropicTool(type: string): readonly string[] {
  return type === 'custom' || ANTHROPIC_CLIENT.test(type) ? [] : [type]
}

function nameOpenAiTool(tool: JsonObject, type: string): readonly string[] {
  if (OPENAI_CLIENT.has(type)) return []
  // Its tools are looked at one by one, as any list of tools is.
  if (type === 'namespace') return []
  if (type === 'tool_search') return memberOf(tool, 'execution') === 'client' ? [] : [type]
  const environment = asObject(memberOf(tool, 'environment'))
  if (type === 'shell' && memberOf(environment, 'type') === 'local') return []
  return [type]
}

// Members of a request that are known, and have the provider run something or bring what was said elsewhere.
const MEMBERS: ReadonlyMap<string, string> = new Map([
  ['mcp_servers', 'mcp_servers'],
  ['container', 'container'],
  ['prompt', 'stored_prompt'],
  ['cachedContent', 'stored_prompt'],
  ['cached_content', 'stored_prompt'],
  ['previous_response_id', 'stored_state'],
  ['conversation', 'stored_state'],
  ['background', 'stored_state'],
  ['thread', 'stored_state'],
])

/** What a member of the request itself has the provider do; undefined where nothing. */
export function nameMember(name: string, value: JsonValue): string | undefined {
  // A prompt in words is no template of the provider's.
  if (name === 'prompt' && asObject(value) === undefined) return undefined
  return asList(value)?.length === 0 ? undefined : MEMBERS.get(name)
}

// What is named after what it is an address of: `image_url`, `document_url`, `fileUri`.
const URL_NAME = /[a-z](?:_ur[il]|Ur[il])$/
// Where a tool's server is: that is the tool's own name to say.
const SERVER_URL = 'server_url'
const OTHER_SOURCES: ReadonlySet<string> = new Set(['input_audio', 'source'])
const FILES: ReadonlySet<string> = new Set(['file_id', 'file_ids'])
// Where providers keep files that were uploaded to them.
const UPLOADED =
  /^(?:gs:\/\/|files\/|https:\/\/generativelanguage\.googleapis\.com\/[a-z0-9]+\/files\/)/

const SCHEME = /^\s{0,8}[a-z][a-z0-9+.-]{0,20}:/i

/** Whether an item of a conversation only names one that the provider has: its type may be left out then. */
export function isReference(item: JsonObject): boolean {
  if (asText(memberOf(item, 'id')) === undefined) return false
  const type = memberOf(item, 'type') ?? null
  if (type === 'image_generation_call') return asText(memberOf(item, 'result')) === undefined
  return type === null && (memberOf(item, 'role') ?? null) === null
}

/** `url_source` or `file_source` where a member has the provider fetch content for a prompt, `stored_state` where it has it. */
export function nameSource(name: string, value: JsonValue): string | undefined {
  if (value === null) return undefined
  if (FILES.has(name)) return asList(value)?.length === 0 ? undefined : 'file_source'
  if (name === 'type') return value === 'item_reference' ? 'stored_state' : undefined
  const text = asText(value)
  // The bytes themselves, but some servers take an address here too.
  if (name === 'file_data')
    return text !== undefined && SCHEME.test(text) ? sourceOf(text) : undefined
  // Something that was said, or heard, before.
  if (name === 'audio' && asText(memberOf(asObject(value), 'id')) !== undefined)
    return 'stored_state'
  if (name === SERVER_URL || !(URL_NAME.test(name) || OTHER_SOURCES.has(name))) return undefined
  // A citation's source is a text; only what is fetched is an object.
  if (name === 'source' && text !== undefined) return undefined
  return sourceOf(text ?? asText(memberOf(asObject(value), 'url')))
}

function sourceOf(url: string | undefined): string | undefined {
  if (url === undefined || /^data:/i.test(url)) return undefined
  return UPLOADED.test(url) ? 'file_source' : 'url_source'
}
