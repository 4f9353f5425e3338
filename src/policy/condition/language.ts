// CEL as this program has it: the library parses and checks types against the environment, and says where what is wrong. Its
// evaluator is not used: it has no budget, and keeps a type for every shape of value that it meets. The library is loaded by
// the first condition. Pure; called by `condition.ts`.

import { createRequire } from 'node:module'

import type * as Library from '@marcbachmann/cel-js'

import { suggestName } from '../suggest.ts'
import { DEPTH_MAX, ITEMS_MAX, NODES_MAX } from './bounds.ts'
import type { ConditionFault } from './compiling.ts'
import { ENVIRONMENT, hasMembers, ITEM_TYPES, type Node } from './environment.ts'
import { PATTERNED } from './functions.ts'

const require = createRequire(import.meta.url)
let loaded: { readonly library: typeof Library; readonly language: Library.Environment } | undefined

function load(): NonNullable<typeof loaded> {
  if (loaded) return loaded
  // Synchronous: rule files are read in one go.
  const library: typeof Library = require('@marcbachmann/cel-js')
  const language = new library.Environment({
    limits: {
      maxAstNodes: NODES_MAX,
      maxDepth: DEPTH_MAX,
      maxListElements: ITEMS_MAX,
      maxMapEntries: ITEMS_MAX,
      maxCallArguments: 4,
    },
  })
  for (const [name, fields] of Object.entries(ITEM_TYPES)) language.registerType(name, { fields })
  for (const [name, node] of Object.entries(ENVIRONMENT)) {
    const type = typeOf(node)
    if (typeof type === 'string') language.registerVariable(name, type)
    else language.registerVariable({ name, schema: type })
  }
  for (const name of Object.keys(PATTERNED))
    language.registerFunction(`${name}(string, string): bool`, () => false)
  language.registerFunction('level(string): int', () => 0n)
  return (loaded = { library, language })
}

function typeOf(node: Node): string | Library.ObjectSchema {
  if (!hasMembers(node)) return node.type
  return Object.fromEntries(
    Object.entries(node.members).map(([name, member]) => [name, typeOf(member)]),
  )
}

/** A condition that is CEL. */
export interface Parsed {
  readonly ast: Library.ASTNode
  /** Its type, or what is wrong with the types in it. */
  checkType(): string | ConditionFault
}

/** Reads a text as CEL. */
export function parseCel(text: string): Parsed | ConditionFault {
  const { language } = load()
  try {
    const parsed = language.parse(text)
    return {
      ast: parsed.ast,
      checkType: () => {
        const { valid, type, error } = parsed.check()
        return valid && type !== undefined ? type : explain(error)
      },
    }
  } catch (error) {
    return explain(error)
  }
}

function explain(error: unknown): ConditionFault {
  const { library } = load()
  // The library's reader is recursive in places that its own bounds do not count.
  if (error instanceof RangeError) return { message: 'nested too deeply', offset: 0 }
  if (!(error instanceof library.ParseError) && !(error instanceof library.TypeError)) throw error
  const offset = error.range?.start ?? 0
  const { args } = error.node ?? {}
  if (error.code === 'no_such_key' && Array.isArray(args))
    return explainItem(String(args[1]), typeNameOf(args[0]), offset)
  const message = error.summary.charAt(0).toLowerCase() + error.summary.slice(1)
  const hint = hintFor(message)
  return { message, ...(hint !== undefined && { hint }), offset }
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/^no such overload:.*Timestamp/, 'write timestamp("2027-06-30T18:00:00Z")'],
  [/^no such overload/, 'both sides have to be of one type: see docs/conditions.md'],
  [/^unexpected character: =/, 'equal is =='],
  [/^unexpected character: [&|]/, 'and is &&, or is ||'],
  [/^unexpected character: '/, 'there are && || ! == != < <= > >= in'],
  [/EOF$/, 'it ends too early'],
]

function hintFor(message: string): string | undefined {
  return HINTS.find(([pattern]) => pattern.test(message))?.[1]
}

// A member of an item that there is none of.
function explainItem(name: string, type: string, offset: number): ConditionFault {
  const fields = Object.keys(ITEM_TYPES[type] ?? {})
  const near = suggestName(name, fields)
  const known = fields.length > 0 && { hint: `there are ${fields.join(', ')}` }
  const hint = near === undefined ? known : { hint: `did you mean \`${near}\`?` }
  return { message: `there is no \`${name}\``, ...hint, offset }
}

// What the library found the type of a node to be, which it keeps there without saying so.
function typeNameOf(node: unknown): string {
  const type: unknown = isObject(node) ? Reflect.get(node, 'checkedType') : undefined
  const name: unknown = isObject(type) ? Reflect.get(type, 'name') : undefined
  return typeof name === 'string' ? name : ''
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
