// Holds the MCP headers of a request to its body: nothing that somebody in front of the server routes by may say other than
// what the server will act on. Deliberately decides nothing by a header. Called by `exchange.ts`.

import { EgressError } from '../../errors.ts'
import type { RawHeaders } from '../../wire/body.ts'
import type { JsonValue } from '../fields.ts'
import { decodeMirrored } from './mirrored.ts'
import type { McpMessage, McpRequest } from './messages.ts'
import { findMethod } from './methods.ts'
import { checkParameters } from './parameters.ts'
import { isObject, own } from '../json-values.ts'

/** The definition of a tool as its server last listed it; undefined where it was not seen. */
export type DefinitionOf = (tool: string) => JsonValue | undefined

const PARAMETER_PREFIX = 'mcp-param-'
const SINGLE: ReadonlySet<string> = new Set([
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
])
const VISIBLE = /^[\x21-\x7e]{1,1024}$/
const VERSION = /^[\x21-\x7e]{1,64}$/
const DATE = /^\d{4}-\d{2}-\d{2}$/
// The first revision that has the headers.
const FIRST_STATELESS = '2026-07-28'
const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion'

/** The MCP headers of a request, each at most once. */
export interface McpHeaders {
  readonly method: string | undefined
  readonly name: string | undefined
  readonly protocolVersion: string | undefined
  readonly sessionId: string | undefined
  /** By the name in lower case without `mcp-param-`. */
  readonly parameters: ReadonlyMap<string, string>
}

/**
 * The MCP headers of a request.
 * @throws mcp-header-mismatch where one is there twice, or another is one by another spelling
 */
export function readMcpHeaders(headers: RawHeaders): McpHeaders {
  const found = new Map<string, string>()
  const seen = new Set<string>()
  for (let at = 0; at < headers.length; at += 2) {
    if (!/^mcp/i.test(headers[at]!)) continue
    const lower = headers[at]!.toLowerCase()
    // Who hands headers on as variables reads `Mcp_Name` as `Mcp-Name`.
    const plain = lower.replaceAll(/[^0-9a-z]/g, '-')
    if (!SINGLE.has(plain) && !plain.startsWith(PARAMETER_PREFIX)) continue
    const isDisguised = SINGLE.has(plain) ? plain !== lower : !lower.startsWith(PARAMETER_PREFIX)
    if (isDisguised || seen.has(plain)) throw mismatch(plain, 'repeated')
    seen.add(plain)
    found.set(lower, headers[at + 1]!)
  }
  if (!VERSION.test(found.get('mcp-protocol-version') ?? '-'))
    throw mismatch('mcp-protocol-version', 'value')
  for (const name of ['mcp-method', 'mcp-session-id'])
    if (!VISIBLE.test(found.get(name) ?? '-')) throw mismatch(name, 'value')
  const parameters = new Map<string, string>()
  for (const [name, value] of found)
    if (name.startsWith(PARAMETER_PREFIX))
      parameters.set(name.slice(PARAMETER_PREFIX.length), value)
  return {
    method: found.get('mcp-method'),
    name: found.get('mcp-name'),
    protocolVersion: found.get('mcp-protocol-version'),
    sessionId: found.get('mcp-session-id'),
    parameters,
  }
}

/**
 * Holds a request's headers to its messages.
 * @param messages those of the body; empty for GET and DELETE
 * @throws mcp-header-mismatch with the header and what is wrong with it
 */
export function checkMcpHeaders(
  headers: RawHeaders,
  messages: readonly McpMessage[],
  isBatch: boolean,
  definitionOf: DefinitionOf,
): void {
  const found = readMcpHeaders(headers)
  for (const message of messages) checkVersion(found, message, isBatch)
  const [message] = messages
  if (message === undefined || isBatch || message.kind === 'response') refuseMirrors(found)
  else checkMirrors(found, message, definitionOf)
}

/** The protocol version that a message names itself. */
export function claimedVersion(message: McpMessage): string | undefined {
  if (message.kind === 'response' || message.params === undefined) return undefined
  const meta = own(message.params, '_meta')
  const claim = isObject(meta) ? own(meta, VERSION_KEY) : undefined
  if (claim === undefined) return undefined
  if (typeof claim !== 'string' || !VERSION.test(claim))
    throw mismatch('mcp-protocol-version', 'claim')
  return claim
}

/** The protocol version that `initialize` asks for, where it is one. */
export function askedVersion(message: McpMessage): string | undefined {
  if (message.kind !== 'request' || message.method !== 'initialize') return undefined
  const asked = message.params && own(message.params, 'protocolVersion')
  return typeof asked === 'string' && VERSION.test(asked) ? asked : undefined
}

function checkVersion(headers: McpHeaders, message: McpMessage, isBatch: boolean): void {
  const name = 'mcp-protocol-version'
  const stated = headers.protocolVersion
  const claim = claimedVersion(message)
  if (stated !== undefined && claim !== undefined && stated !== claim) throw mismatch(name, 'value')
  const isStateless = isStatelessVersion(claim) || isStatelessVersion(stated)
  // Servers of one revision run a batch, those of another the first of it.
  if (isStateless && isBatch) throw mismatch(name, 'batch')
  if (message.kind !== 'request') return
  if (isStateless && (stated === undefined || claim === undefined)) throw mismatch(name, 'missing')
  if (message.method !== 'initialize' || stated === undefined || claim !== undefined) return
  if (askedVersion(message) !== stated) throw mismatch(name, 'value')
}

// A draft by any other name than a date counts as of now.
function isStatelessVersion(version: string | undefined): boolean {
  return version !== undefined && (!DATE.test(version) || version >= FIRST_STATELESS)
}

function refuseMirrors({ method, name, parameters }: McpHeaders): void {
  if (method !== undefined) throw mismatch('mcp-method', 'no message')
  if (name !== undefined) throw mismatch('mcp-name', 'no message')
  if (parameters.size > 0) throw mismatch('mcp-param', 'no message')
}

function checkMirrors(
  headers: McpHeaders,
  message: Exclude<McpMessage, { kind: 'response' }>,
  definitionOf: DefinitionOf,
): void {
  const isRequired = message.kind === 'request' && isStatelessVersion(headers.protocolVersion)
  if (headers.method === undefined ? isRequired : headers.method !== message.method)
    throw mismatch('mcp-method', headers.method === undefined ? 'missing' : 'value')
  checkName(headers.name, message, isRequired)
  if (message.kind === 'request' && message.method === 'tools/call')
    checkToolParameters(headers, message, isRequired, definitionOf)
  else if (headers.parameters.size > 0) throw mismatch('mcp-param', 'no tool')
}

function checkName(
  header: string | undefined,
  { direction, kind, method, params = {} }: Exclude<McpMessage, { kind: 'response' }>,
  isRequired: boolean,
): void {
  const source = findMethod(direction, kind, method)?.header
  const meant = source
    ? own(params, source)
    : (own(params, 'name') ?? own(params, 'uri') ?? own(params, 'taskId'))
  if (header === undefined) {
    if (isRequired && source && meant !== undefined) throw mismatch('mcp-name', 'missing')
    return
  }
  const decoded = decodeMirrored(header)
  if (decoded === undefined) throw mismatch('mcp-name', 'encoding')
  if (decoded !== meant) throw mismatch('mcp-name', 'value')
}

function checkToolParameters(
  { parameters }: McpHeaders,
  { subject, params = {} }: McpRequest,
  isRequired: boolean,
  definitionOf: DefinitionOf,
): void {
  if (parameters.size === 0 && !isRequired) return
  const definition = definitionOf(subject.name ?? '')
  const fault = checkParameters(parameters, own(params, 'arguments') ?? {}, definition, isRequired)
  if (fault) throw mismatch(`mcp-param-${fault.name}`, fault.why)
}

function mismatch(header: string, why: string): EgressError {
  return new EgressError('mcp-header-mismatch', { header, why })
}
