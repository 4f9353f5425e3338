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
import { tooLarge } from './refusal.ts'

// A field by its path, or the root; what is there already is not looked at again.
interface Place {
  readonly path: readonly string[]
  readonly below: Map<string, Place>
  readonly spread: Set<string>
}

interface Work {
  readonly set: SelectionSetNode
  readonly place: Place
}

const PATH_LENGTH_MAX = 100

/**
 * Finds the fields of an operation, sorted, each once.
 * @throws body-too-large: fragments may say in few bytes more than anybody can look at
 */
export function resolveFields(
  operation: OperationDefinitionNode,
  { fragments }: ParsedDocument,
  budget: Budget,
): GraphqlOperation {
  const places: Place[] = []
  const root: Place = { path: [], below: new Map(), spread: new Set() }
  const open: Work[] = [{ set: operation.selectionSet, place: root }]

  const enterField = ({ name, selectionSet }: FieldNode, { path, below }: Place): void => {
    if (name.value === '__typename') return
    let place = below.get(name.value)
    if (!place) {
      budget.fields -= 1
      if (budget.fields < 0) throw tooLarge('fields')
      if (path.length === PATH_LENGTH_MAX) throw tooLarge('depth')
      place = { path: [...path, name.value], below: new Map(), spread: new Set() }
      below.set(name.value, place)
      places.push(place)
    }
    if (selectionSet) open.push({ set: selectionSet, place })
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
  return describeOperation(operation, places)
}

function describeOperation(
  { operation }: OperationDefinitionNode,
  places: readonly Place[],
): GraphqlOperation {
  const byText = new Map(places.map(({ path }) => [path.join('.'), path]))
  const fields = [...byText.keys()].sort().map((text) => byText.get(text) ?? [])
  // Not at the root alone: a server may have fields that lead back to it.
  const introspection = fields.some((path) => path.at(-1)?.startsWith('__') === true)
  return { type: operation, fields, introspection }
}
