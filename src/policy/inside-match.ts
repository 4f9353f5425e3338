// Whether what was read of a call meets the keys of a rule that look inside, and which of them it does not. What was not
// understood meets no allow and every deny. The one place that says so; asked by `match.ts`. Pure.

import type { Reason } from '../errors.ts'
import type {
  BoundInside,
  BoundPattern,
  GitKeys,
  GraphqlKeys,
  McpKeys,
  ModelKeys,
} from './inside.ts'
import type { Verdict } from './rule-set.ts'
import type {
  Content,
  GitCommand,
  GitSubject,
  GraphqlOperation,
  GraphqlSubject,
  McpSubject,
  ModelSubject,
} from './subject.ts'
import { foldCase, matchGlob } from './template.ts'

/** The key of a rule that a call does not meet; `inside` where the call is of another kind altogether. */
export type InsideKey =
  | 'inside'
  | 'tools'
  | 'resources'
  | 'prompts'
  | 'models'
  | 'maxTokens'
  | 'serverTools'
  | 'graphql'
  | 'git'

/** In what a call does not meet an allow, and what its client is told. */
export interface Mismatch {
  readonly key: InsideKey
  readonly reason: Reason
}

const OTHER_KIND: Mismatch = { key: 'inside', reason: 'protocol-not-allowed' }
const OTHER_MESSAGE: Mismatch = { key: 'inside', reason: 'operation-not-allowed' }
const MODEL: Mismatch = { key: 'models', reason: 'operation-not-allowed' }
const TOKENS: Mismatch = { key: 'maxTokens', reason: 'operation-not-allowed' }
const SERVER_TOOL: Mismatch = { key: 'serverTools', reason: 'operation-not-allowed' }
const GRAPHQL: Mismatch = { key: 'graphql', reason: 'operation-not-allowed' }
const REPO: Mismatch = { key: 'git', reason: 'source-not-allowed' }
const REF: Mismatch = { key: 'git', reason: 'ref-not-allowed' }

// Under `__schema` and `__type` a server describes itself; no other field of the root begins so.
const INTROSPECTION: readonly (string | undefined)[] = ['__schema', '__type']

/**
 * Finds in what a call does not meet an allow's keys; undefined where it meets them.
 * @param content undefined: not read yet, and taken to be what the rule wants
 */
export function findMismatch(
  inside: BoundInside,
  { upgrade, content }: { readonly upgrade: boolean; readonly content?: Content },
): Mismatch | undefined {
  // Nobody looks into the frames of a WebSocket.
  if (upgrade) return OTHER_KIND
  if (content === undefined) return undefined
  if (content.fault !== undefined) return { key: 'inside', reason: content.fault }
  const { mcp, model, graphql, git } = inside
  if (mcp) return content.mcp ? findMcpMismatch(mcp, content.mcp) : OTHER_KIND
  if (model) return content.model ? findModelMismatch(model, content.model) : OTHER_KIND
  if (graphql) return content.graphql ? findGraphqlMismatch(graphql, content.graphql) : OTHER_KIND
  if (git) return content.git ? findGitMismatch(git, content.git) : OTHER_KIND
  return OTHER_KIND
}

/**
 * Whether a call meets a deny's keys, or cannot be shown not to.
 * @param content undefined: not read yet, and taken to be harmless until it is
 */
export function meetsDeny(
  inside: BoundInside,
  { upgrade, content }: { readonly upgrade: boolean; readonly content?: Content },
): boolean {
  if (upgrade) return true
  if (content === undefined) return false
  if (content.fault !== undefined) return true
  const { mcp, model, graphql, git } = inside
  return (
    (mcp && content.mcp && deniesMcp(mcp, content.mcp)) ??
    (model && content.model && deniesModel(model, content.model)) ??
    (graphql && content.graphql && deniesGraphql(graphql, content.graphql)) ??
    (git && content.git && deniesGit(git, content.git)) ??
    false
  )
}

/** The key that a call which was held against a rule does not meet. */
export function missedKey(
  inside: BoundInside,
  verdict: Verdict,
  call: { readonly upgrade: boolean; readonly content?: Content },
): InsideKey {
  if (verdict !== 'deny') return findMismatch(inside, call)?.key ?? 'inside'
  const { mcp, model, graphql, git } = inside
  const { content = {} } = call
  if (mcp) return content.mcp?.list ?? 'inside'
  if (model && content.model) return model.models ? 'models' : 'serverTools'
  if (graphql && content.graphql) return 'graphql'
  return git && content.git ? 'git' : 'inside'
}

function findMcpMismatch(
  keys: McpKeys<BoundPattern>,
  { kind, list, name }: McpSubject,
): Mismatch | undefined {
  if (kind === 'session') return undefined
  if (kind === 'other' || list === undefined || name === undefined) return OTHER_MESSAGE
  const isListed = matchesSome(keys[list], name) && !(list === 'resources' && isMovable(name, keys))
  if (isListed) return undefined
  return { key: list, reason: list === 'tools' ? 'tool-not-allowed' : 'source-not-allowed' }
}

// `file:///work/*` is no leave for `file:///work/../etc/passwd`: where the server takes dot segments out, a `*` would reach
// anywhere. A name that is written out in the rule is what it says.
function isMovable(name: string, { resources = [] }: McpKeys<BoundPattern>): boolean {
  return hasDotSegments(name) && !resources.some(({ glob }) => glob === name)
}

/** Whether a server may take a URI for another one, because it has dot segments, escaped or not. */
export function hasDotSegments(name: string): boolean {
  const decode = (text: string): string =>
    text.replaceAll(/%(2e|2f|5c|25)/gi, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    )
  // Twice, as paths are read.
  return /(?:^|[/\\])\.{1,2}(?:[/\\?#;]|$)/.test(decode(decode(name)))
}

function deniesMcp(keys: McpKeys<BoundPattern>, { kind, list, name }: McpSubject): boolean {
  if (kind !== 'item' || list === undefined || name === undefined) return false
  const patterns = keys[list]
  if (patterns === undefined) return false
  return matchesEither(patterns, name) || (list === 'resources' && hasDotSegments(name))
}

function findModelMismatch(
  { models, maxTokens, serverTools }: ModelKeys<BoundPattern>,
  subject: ModelSubject,
): Mismatch | undefined {
  const { model } = subject
  if (models && (model === undefined || !matchesSome(models, model))) return MODEL
  if (maxTokens !== undefined && subject.hasOutput && !isWithinTokens(subject, maxTokens))
    return TOKENS
  if (serverTools === undefined || serverTools === true) return undefined
  const allowed = serverTools === false ? [] : serverTools
  return subject.serverTools.every((name) => matchesSome(allowed, name)) ? undefined : SERVER_TOOL
}

// To some servers a negative number means as many as they like.
function isWithinTokens({ maxTokens = NaN }: ModelSubject, bound: number): boolean {
  return maxTokens >= 0 && maxTokens <= bound
}

// Any of what is listed. A question that names no model is one to whatever the provider has stored for it.
function deniesModel(
  { models, serverTools = false }: ModelKeys<BoundPattern>,
  subject: ModelSubject,
): boolean {
  const { model } = subject
  if (models && (model === undefined || matchesEither(models, model))) return true
  if (typeof serverTools === 'boolean') return serverTools && subject.serverTools.length > 0
  return subject.serverTools.some((name) => matchesEither(serverTools, name))
}

// A request in which no operation was found has shown nothing.
function findGraphqlMismatch(
  keys: GraphqlKeys,
  { operations }: GraphqlSubject,
): Mismatch | undefined {
  const isAllowed =
    operations.length > 0 && operations.every((operation) => allowsOperation(keys, operation))
  return isAllowed ? undefined : GRAPHQL
}

function allowsOperation(
  { operations, fields, introspection }: GraphqlKeys,
  operation: GraphqlOperation,
): boolean {
  if (operations && !operations.includes(operation.type)) return false
  if (operation.introspection && !introspection) return false
  if (fields === undefined) return true
  // A field on the way to a listed one is asked for with what is below it, never by itself.
  const withBelow = new Set(operation.fields.map((path) => path.slice(0, -1).join('.')))
  return operation.fields.every((path) => {
    if (introspection && INTROSPECTION.includes(path[0])) return true
    if (fields.some((pattern) => isWithin(pattern, path))) return true
    return withBelow.has(path.join('.')) && fields.some((pattern) => isOnTheWay(pattern, path))
  })
}

function deniesGraphql(keys: GraphqlKeys, subject: GraphqlSubject): boolean {
  return (
    subject.operations.length === 0 ||
    subject.operations.some((operation) => deniesOperation(keys, operation))
  )
}

function deniesOperation(
  { operations, fields, introspection }: GraphqlKeys,
  operation: GraphqlOperation,
): boolean {
  if (introspection && operation.introspection) return true
  // Introspection alone is denied where nothing else is said.
  if (introspection && operations === undefined && fields === undefined) return false
  if (operations && !operations.includes(operation.type)) return false
  return fields === undefined
    ? true
    : fields.some((pattern) => operation.fields.some((path) => isWithin(pattern, path)))
}

// The field of a pattern, or one below it.
function isWithin(pattern: readonly string[], path: readonly string[]): boolean {
  return path.length >= pattern.length && pattern.every((name, at) => isNamed(name, path[at]))
}

function isOnTheWay(pattern: readonly string[], path: readonly string[]): boolean {
  return path.length < pattern.length && path.every((name, at) => isNamed(pattern[at], name))
}

function isNamed(pattern: string | undefined, name: string | undefined): boolean {
  return pattern === '*' || pattern === name
}

function findGitMismatch(keys: GitKeys<BoundPattern>, subject: GitSubject): Mismatch | undefined {
  const { repos, push, force } = keys
  if (repos && !matchesSome(repos, subject.repo)) return REPO
  if (subject.service === 'upload-pack' && subject.commands.length === 0) return undefined
  const isAllowed =
    push !== undefined &&
    subject.commands.every(
      (command) => matchesSome(push, command.ref) && (force || !isForced(command)),
    )
  return isAllowed ? undefined : REF
}

function deniesGit({ repos, push, force }: GitKeys<BoundPattern>, subject: GitSubject): boolean {
  if (repos && !matchesEither(repos, subject.repo)) return false
  if (push === undefined && !force) return true
  return subject.commands.some(
    (command) => (force && isForced(command)) || (push && matchesEither(push, command.ref)),
  )
}

// What takes commits away, or could not be shown not to.
function isForced({ change, update }: GitCommand): boolean {
  return change === 'delete' || (change === 'update' && update !== 'fast-forward')
}

function matchesSome(patterns: readonly BoundPattern[] | undefined, text: string): boolean {
  return patterns?.some(({ glob }) => matchGlob(glob, text)) ?? false
}

function matchesEither(patterns: readonly BoundPattern[], text: string): boolean {
  if (matchesSome(patterns, text)) return true
  const withoutCase = foldCase(text)
  return patterns.some(({ folded }) => matchGlob(folded, withoutCase))
}
