// Which fields of the schema an operation asks for: aliases, fragments and conditions are seen through. Directives such as
// `@skip` count for nothing: what could be asked for counts as asked. Called by `read.ts`.

import {
  Kind,
  type FieldNode,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql/language/index.js'

import type { GraphqlOperation } from '../../policy/subject.ts'
import type { Budget, ParsedDocument } from './document.ts'
import { malformed, tooLarge } from './refusal.ts'

// A field by its place in the answer, or the root. Servers join what has one place, so that is how it is looked at; what
// was looked at there already is not looked at again.
interface Place {
  /** By names of the schema. */
  readonly path: readonly string[]
  /** By their names in the answer. */
  readonly below: Map<string, Place>
  readonly spread: Set<string>
  hasSelection: boolean
  /** Another field has the same place. */
  isContested: boolean
}

interface Work {
  readonly set: SelectionSetNode
  readonly place: Place
}

const PATH_LENGTH_MAX = 100

/**
 * Finds the fields of an operation, sorted, each once.
 * @throws body-too-large: fragments may say in few bytes more than anybody can look at; malformed-body where two fields with
 *   fields below have one name in the answer: servers that do not validate would look below one for what is asked of the other
 */
export function resolveFields(
  operation: OperationDefinitionNode,
  { fragments }: ParsedDocument,
  budget: Budget,
): GraphqlOperation {
  const told = new Map<string, readonly string[]>()
  const open: Work[] = [{ set: operation.selectionSet, place: makePlace([]) }]

  const tell = (path: readonly string[]): readonly string[] => {
    if (path.length > PATH_LENGTH_MAX) throw tooLarge('depth')
    const text = path.join('.')
    budget.fields -= 1
    budget.characters -= text.length
    if (budget.fields < 0 || budget.characters < 0) throw tooLarge('fields')
    told.set(text, path)
    return path
  }
  const enterField = ({ name, alias, selectionSet }: FieldNode, { path, below }: Place): void => {
    const key = (alias ?? name).value
    let place = below.get(key)
    if (!place) {
      place = makePlace(tell([...path, name.value]))
      below.set(key, place)
    } else if (place.path.at(-1) !== name.value) {
      tell([...path, name.value])
      place.isContested = true
    }
    if (selectionSet) {
      place.hasSelection = true
      open.push({ set: selectionSet, place })
    }
    if (place.isContested && place.hasSelection) throw malformed('field conflict')
  }
  const enter = (selection: SelectionNode, place: Place): void => {
    budget.visits -= 1
    if (budget.visits < 0) throw tooLarge('fragments')
    if (selection.kind === Kind.FIELD) enterField(selection, place)
    else if (selection.kind === Kind.INLINE_FRAGMENT)
      open.push({ set: selection.selectionSet, place })
    else if (!place.spread.has(selection.name.value)) {
      place.spread.add(selection.name.value)
      const fragment = fragments.get(selection.name.value)
      if (fragment) open.push({ set: fragment.selectionSet, place })
    }
  }

  for (let work = open.pop(); work; work = open.pop())
    for (const selection of work.set.selections) enter(selection, work.place)
  return describeOperation(operation, told)
}

function makePlace(path: readonly string[]): Place {
  return { path, below: new Map(), spread: new Set(), hasSelection: false, isContested: false }
}

function describeOperation(
  { operation }: OperationDefinitionNode,
  told: ReadonlyMap<string, readonly string[]>,
): GraphqlOperation {
  const fields = [...told.keys()]
    .sort()
    .map((text) => told.get(text) ?? [])
    .filter((path) => path.at(-1) !== '__typename')
  // Not at the root alone: a server may have fields that lead back to it.
  const introspection = fields.some((path) => path.at(-1)?.startsWith('__') === true)
  return { type: operation, fields, introspection }
}
