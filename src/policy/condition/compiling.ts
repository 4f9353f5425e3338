// What the parts of the compiler of conditions say to each other. Types only.

import type { ASTNode } from '@marcbachmann/cel-js'

import type { Evaluate } from './run.ts'

/** What is wrong with a condition, and where in it. */
export interface ConditionFault {
  /** Half a sentence, lower case, without a full stop. */
  readonly message: string
  /** How to mend it. */
  readonly hint?: string
  /** Characters from the start of the condition. */
  readonly offset: number
}

/** A condition that is being compiled. */
export interface Compiling {
  /** The name that a comprehension gives its items, while its body is compiled. */
  item: string | undefined
  /** Nodes compiled so far. */
  nodes: number
  /** Says what is wrong. @returns something to go on with */
  refuse(node: { readonly start: number }, message: string, hint?: string): Evaluate
  /** Compiles any part. */
  compile(node: ASTNode): Evaluate
  /** Compiles `has(a.b)`: whether a member is there, which of a repeated one is true. */
  compileHas(node: ASTNode | undefined): Evaluate
}

/** The constant text that a part is; undefined where it is none. */
export function literalText(node: ASTNode | undefined): string | undefined {
  return node?.op === 'value' && typeof node.args === 'string' ? node.args : undefined
}
