// Whether all that the keys of one rule let pass inside calls those of another let pass too: from what is written, sound and
// not complete. Pure; called by `proof.ts`, which compares the rules of two tasks.

import { includesGlob } from './inclusion.ts'
import type {
  BoundInside,
  BoundPattern,
  GitKeys,
  GraphqlKeys,
  McpKeys,
  ModelKeys,
} from './inside.ts'
import { hasDotSegments } from './inside-match.ts'
import { matchGlob } from './template.ts'

type Patterns = readonly BoundPattern[]

/** Whether an allow's keys include those of a narrower one; undefined looks at nothing and includes everything. */
export function includesInside(
  wide: BoundInside | undefined,
  narrow: BoundInside | undefined,
): boolean {
  if (wide === undefined) return true
  if (narrow === undefined) return false
  if (wide.mcp) return narrow.mcp !== undefined && includesMcp(wide.mcp, narrow.mcp)
  if (wide.model) return narrow.model !== undefined && includesModel(wide.model, narrow.model)
  if (wide.graphql)
    return narrow.graphql !== undefined && includesGraphql(wide.graphql, narrow.graphql)
  return wide.git !== undefined && narrow.git !== undefined && includesGit(wide.git, narrow.git)
}

function includesMcp(wide: McpKeys<BoundPattern>, narrow: McpKeys<BoundPattern>): boolean {
  const hasLists = (['tools', 'resources', 'prompts'] as const).every((list) =>
    includesPatterns(wide[list] ?? [], narrow[list] ?? []),
  )
  // A `*` stands for no URI with dot segments, a text for itself.
  const hasMoved = (narrow.resources ?? []).every(
    ({ glob }) =>
      typeof glob !== 'string' ||
      !hasDotSegments(glob) ||
      (wide.resources ?? []).some((each) => each.glob === glob),
  )
  // A tool whose definition the wide one asks for has the same in the narrow one, or is not called.
  const hasPins = [...(wide.pins ?? [])].every(
    ([name, digest]) =>
      narrow.pins?.get(name) === digest ||
      !(narrow.tools ?? []).some(({ glob }) => matchGlob(glob, name)),
  )
  return hasLists && hasMoved && hasPins
}

function includesModel(wide: ModelKeys<BoundPattern>, narrow: ModelKeys<BoundPattern>): boolean {
  if ((narrow.maxTokens ?? Infinity) > (wide.maxTokens ?? Infinity)) return false
  return (
    includesOptional(wide.models, narrow.models) &&
    includesOptional(listOf(wide.serverTools), listOf(narrow.serverTools))
  )
}

// Undefined: any.
function listOf(serverTools: boolean | Patterns | undefined): Patterns | undefined {
  if (typeof serverTools !== 'boolean') return serverTools
  return serverTools ? undefined : []
}

function includesGraphql(wide: GraphqlKeys, narrow: GraphqlKeys): boolean {
  if (narrow.introspection && !wide.introspection) return false
  const { operations, fields } = wide
  if (operations && !narrow.operations?.every((type) => operations.includes(type))) return false
  if (fields === undefined) return true
  return (
    narrow.fields?.every((path) => fields.some((pattern) => includesField(pattern, path))) ?? false
  )
}

// What is below a listed field is listed with it.
function includesField(wide: readonly string[], narrow: readonly string[]): boolean {
  return (
    wide.length <= narrow.length && wide.every((name, at) => name === '*' || name === narrow[at])
  )
}

function includesGit(wide: GitKeys<BoundPattern>, narrow: GitKeys<BoundPattern>): boolean {
  if (narrow.force && !wide.force) return false
  if (!includesOptional(wide.repos, narrow.repos)) return false
  if (narrow.push === undefined) return true
  return wide.push !== undefined && includesPatterns(wide.push, narrow.push)
}

function includesOptional(wide: Patterns | undefined, narrow: Patterns | undefined): boolean {
  return wide === undefined || (narrow !== undefined && includesPatterns(wide, narrow))
}

function includesPatterns(wide: Patterns, narrow: Patterns): boolean {
  return narrow.every(({ glob }) => wide.some((each) => includesGlob(each.glob, glob)))
}
