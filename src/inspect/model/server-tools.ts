// Finds what a provider would run or fetch by itself for a request: a way out that no rule for hosts sees. What is not known
// to be run by the client counts as the provider's. In strict reading it also refuses what an upstream may read otherwise.
// Deliberately no judgement: rules name what they let pass. Called by `request.ts`.

import type { JsonValue } from '../fields.ts'
import type { ModelApi } from './api.ts'
import { refuseBody } from './asked.ts'
import { hasTwins, isKnownMember, isMisspelled } from './members.ts'
import type { ModelFamily } from './provider.ts'
import { isList, type JsonObject } from '../json-values.ts'
import { asText, listOf, memberOf } from './shape.ts'
import { isReference, nameMember, nameSource, nameTools } from './tool-kinds.ts'

// Members whose values are schemas, arguments or labels: their names are the caller's, and no upstream acts on them.
const FREE: ReadonlySet<string> = new Set([
  'input_schema',
  'input_examples',
  'parameters',
  'parametersJsonSchema',
  'parameters_json_schema',
  'responseJsonSchema',
  '_responseJsonSchema',
  'response_json_schema',
  'responseSchema',
  'response_schema',
  'output_schema',
  'schema',
  'arguments',
  'metadata',
  'labels',
  'logit_bias',
  'headers',
  'chat_template_kwargs',
  'guided_json',
])
// Members whose own members have the caller's names, but values that mean something.
const NAMED_BY_CALLER: ReadonlySet<string> = new Set([
  'variables',
  'configs',
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
])

// Models that search by themselves.
const SEARCHES = /search-preview|search-api|(?:^|\/)sonar|(?:^|\/)compound/i
const ONLINE = /:online(?::|$)/i

interface Open {
  readonly value: JsonObject | readonly JsonValue[]
  /** The member that it is the value of, or that the list is which it is in. */
  readonly name: string
}

/**
 * What a provider is asked to run or fetch, each once, sorted.
 * @throws malformed-body in strict reading where names are spelled a little otherwise
 */
export function readServerTools(
  body: JsonObject,
  api: ModelApi,
  model: string | undefined,
  isStrict: boolean,
): string[] {
  const found = new Set<string>()
  for (const [name, value] of Object.entries(body)) {
    if (value === null || value === false) continue
    const tool = isKnownMember(api.endpoint, name) ? nameMember(name, value) : name
    if (tool !== undefined) found.add(tool)
  }
  if (model !== undefined && SEARCHES.test(model)) found.add('search_model')
  if (model !== undefined && ONLINE.test(model)) found.add('online')
  const open: Open[] = [{ value: body, name: '' }]
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    if (isArray(item.value)) pushChildren(open, item.value.entries(), () => item.name)
    else readObject(item.value, item, api.family, isStrict, found, open)
  }
  return [...found].sort()
}

function readObject(
  object: JsonObject,
  item: Open,
  family: ModelFamily,
  isStrict: boolean,
  found: Set<string>,
  open: Open[],
): void {
  const names = Object.keys(object)
  if (isStrict && !NAMED_BY_CALLER.has(item.name)) checkSpelling(names, family === 'gemini')
  for (const tool of toolsOf(object)) for (const name of nameTools(tool, family)) found.add(name)
  for (const name of names) {
    const source = nameSource(name, object[name]!)
    if (source !== undefined) found.add(source)
  }
  if (item.name === 'input' && isReference(object)) found.add('stored_state')
  const free = freeMembersOf(object, item.name, family)
  const children = names
    .filter((name) => !FREE.has(name) && !free.includes(name))
    .map((name): [string, JsonValue] => [name, object[name]!])
  pushChildren(open, children, (name) => name)
}

function checkSpelling(names: readonly string[], isLoose: boolean): void {
  if (names.some((name) => isMisspelled(name, isLoose))) throw refuseBody('spelling')
  if (hasTwins(names, isLoose)) throw refuseBody('twins')
}

// Tools stand in the request, and in items of a conversation that add some. What an MCP server was seen to offer, and which
// of the tools may be chosen, adds none. Some servers take one tool for a list of it.
function toolsOf(object: JsonObject): readonly JsonValue[] {
  const type = asText(memberOf(object, 'type'))
  const definition = memberOf(object, 'definition')
  const added = type === 'tool_definition' && definition !== undefined ? [definition] : []
  if (type === 'mcp_list_tools' || type === 'mcp_tool_listing' || type === 'mcp_toolset')
    return added
  if (type === 'allowed_tools') return added
  return [...added, ...listOf(memberOf(object, 'tools'))]
}

function freeMembersOf(object: JsonObject, name: string, family: ModelFamily): readonly string[] {
  if (asText(memberOf(object, 'type'))?.endsWith('tool_use') === true) return ['input']
  if (name === 'functionCall' || name === 'function_call') return ['args']
  if (name === 'functionResponse' || name === 'function_response') return ['response']
  if (name === 'functionDeclarations' || name === 'function_declarations') return ['response']
  return family === 'ollama' && name === '' ? ['format'] : []
}

function pushChildren(
  open: Open[],
  entries: Iterable<readonly [string | number, JsonValue]>,
  nameOf: (key: string) => string,
): void {
  for (const [key, value] of entries)
    if (typeof value === 'object' && value !== null) open.push({ value, name: nameOf(String(key)) })
}

function isArray(value: JsonObject | readonly JsonValue[]): value is readonly JsonValue[] {
  return isList(value)
}
