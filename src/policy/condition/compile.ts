// A condition's syntax as something to evaluate: every name is looked up in the table of the environment, every function in the
// list of those there are, and what has no bound is refused. Deliberately checks no types: `language.ts` has that done by the
// library, which parses too. Pure; called by `condition.ts`.

import type { ASTNode } from '@marcbachmann/cel-js'

import { DATA_CLASSES } from '../../tasks/task.ts'
import { suggestName } from '../suggest.ts'
import { textOf, type CompiledClause } from './clauses.ts'
import { compileCall, compileMethod } from './compile-call.ts'
import { literalText, type Compiling, type ConditionFault } from './compiling.ts'
import {
  CLASS_MEMBERS,
  ENVIRONMENT,
  hasMembers,
  type Leaf,
  type Members,
  type Node,
  type Reads,
} from './environment.ts'
import { apply, both, choose, either, negate, not, OPERATORS } from './operators.ts'
import type { Evaluate } from './run.ts'
import { Fault, hasMember, readMember, type Value } from './values.ts'

const NOTHING: Evaluate = () => null
const ORDER: readonly string[] = ['<', '<=', '>', '>=']
const CLASSES: readonly string[] = DATA_CLASSES

/** Compiles one condition; what is wrong with it is collected, all of it. */
export class Compiler implements Compiling {
  readonly faults: ConditionFault[] = []
  readonly reads: Set<Reads> = new Set()
  readonly clauses: CompiledClause[] = []
  /** The name that a comprehension gives its items, while its body is compiled. */
  item: string | undefined
  /** Nodes compiled so far. */
  nodes = 0
  readonly #source: string

  constructor(source: string) {
    this.#source = source
  }

  /** Says what is wrong. @returns something to go on with */
  refuse(node: { readonly start: number }, message: string, hint?: string): Evaluate {
    const { start: offset } = node
    this.faults.push({ message, ...(hint !== undefined && { hint }), offset })
    return NOTHING
  }

  /** Compiles a part that is true or false by itself, and the parts of that. */
  compileClause(node: ASTNode): Evaluate {
    const at = this.clauses.length
    let evaluate: Evaluate
    if (node.op === '&&' || node.op === '||') {
      const [left, right] = node.args
      const connect = node.op === '&&' ? both : either
      this.nodes += 1
      evaluate = connect(this.compileClause(left), this.compileClause(right))
    } else if (node.op === '!_') {
      this.nodes += 1
      evaluate = not(this.compileClause(node.args))
    } else evaluate = this.compile(node)
    const text = textOf(this.#source, node.start, node.end)
    // A whole before its parts.
    this.clauses.splice(at, 0, { text, evaluate })
    return evaluate
  }

  /** Compiles any part. */
  compile(node: ASTNode): Evaluate {
    this.nodes += 1
    switch (node.op) {
      case 'value':
        return this.#compileLiteral(node)
      case 'id':
      case '.':
        return this.#compileName(node)
      case '[]':
        return this.#compileIndex(node)
      case '&&':
        return both(this.compile(node.args[0]), this.compile(node.args[1]))
      case '||':
        return either(this.compile(node.args[0]), this.compile(node.args[1]))
      case '!_':
        return not(this.compile(node.args))
      case '-_':
        return negate(this.compile(node.args))
      case '?:': {
        const [condition, then, otherwise] = node.args
        return choose(this.compile(condition), this.compile(then), this.compile(otherwise))
      }
      case 'list':
        return this.#compileList(node.args)
      case 'map':
        return this.#compileMap(node.args)
      case 'call':
        return compileCall(this, node)
      case 'rcall':
        return compileMethod(this, node)
      case '.?':
      case '[?]':
        return this.refuse(node, 'optional members are not offered', 'ask with has()')
      case '==':
      case '!=':
      case '<':
      case '<=':
      case '>':
      case '>=':
      case 'in':
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
      default:
        return this.#compileOperator(node)
    }
  }

  #compileLiteral(node: ASTNode & { op: 'value' }): Evaluate {
    const { args } = node
    if (typeof args === 'object' && args !== null)
      return this.refuse(node, 'bytes and unsigned numbers are not offered')
    return () => args
  }

  #compileName(node: ASTNode & { op: 'id' | '.' }): Evaluate {
    const found = this.find(node)
    if (found === 'refused') return NOTHING
    if (found) {
      const { path, node: named } = found
      if (!hasMembers(named)) return this.#readLeaf(path, named)
      const some = Object.keys(named.members).slice(0, 3).join(', ')
      return this.refuse(node, `\`${path}\` is no value by itself`, `name a member: ${some}, …`)
    }
    if (node.op === '.') {
      const [of, name] = node.args
      const value = this.compile(of)
      return (run) => readMember(value(run), name)
    }
    if (node.args === this.item) return (run) => run.item
    const near = suggestName(node.args, Object.keys(ENVIRONMENT))
    const hint = `${near === undefined ? '' : `did you mean \`${near}\`? `}there are task, call, destination and now`
    return this.refuse(node, `unknown name \`${node.args}\``, hint)
  }

  #readLeaf(path: string, { read, reads }: Leaf): Evaluate {
    if (reads) this.reads.add(reads)
    const absent = new Fault(`\`${path}\` is not known`)
    return (run) => {
      const value = read(run)
      return value === undefined ? absent : value
    }
  }

  /** What stands behind names of the environment; undefined where the part is no such name. */
  find(node: ASTNode): { path: string; node: Node } | 'refused' | undefined {
    if (node.op === 'id') {
      const { args: name } = node
      if (name === this.item || !Object.hasOwn(ENVIRONMENT, name)) return undefined
      return { path: name, node: ENVIRONMENT[name]! }
    }
    if (node.op !== '.') return undefined
    const [of, name] = node.args
    const parent = this.find(of)
    if (parent === undefined || parent === 'refused') return parent
    if (!hasMembers(parent.node)) return undefined
    const { members } = parent.node
    if (Object.hasOwn(members, name))
      return { path: `${parent.path}.${name}`, node: members[name]! }
    const near = suggestName(name, Object.keys(members))
    const hint =
      near === undefined
        ? `there are ${Object.keys(members).join(', ')}`
        : `did you mean \`${near}\`?`
    this.refuse({ start: node.end - name.length }, `\`${parent.path}\` has no \`${name}\``, hint)
    return 'refused'
  }

  /** Compiles `has(a.b)`: whether a member is there, which of a repeated one is true. */
  compileHas(node: ASTNode | undefined): Evaluate {
    if (node?.op !== '.')
      return this.refuse(node ?? { start: 0 }, 'has() asks for a member', 'write has(call.tool)')
    const found = this.find(node)
    if (found === 'refused') return NOTHING
    if (found) return this.#hasNode(found.node)
    const [of, name] = node.args
    const value = this.compile(of)
    return (run) => hasMember(value(run), name)
  }

  #hasNode(node: Leaf | Members): Evaluate {
    if (node.reads) this.reads.add(node.reads)
    if (hasMembers(node)) {
      const { isThere } = node
      return isThere ? ({ facts }) => isThere(facts) : () => true
    }
    return (run) => node.read(run) !== undefined
  }

  #compileIndex(node: ASTNode & { op: '[]' }): Evaluate {
    const [of, key] = node.args
    const value = this.compile(of)
    const index = this.compile(key)
    return (run) => readMember(value(run), index(run))
  }

  #compileList(items: readonly ASTNode[]): Evaluate {
    const evaluates = items.map((item) => this.compile(item))
    const constant = constantsOf(items)
    if (constant) return () => constant
    return (run) => {
      const values: Value[] = []
      for (const evaluate of evaluates) {
        const value = evaluate(run)
        if (value instanceof Fault) return value
        values.push(value)
      }
      return values
    }
  }

  #compileMap(entries: readonly (readonly [ASTNode, ASTNode])[]): Evaluate {
    const evaluates = entries.map(
      ([key, value]) => [this.compile(key), this.compile(value)] as const,
    )
    return (run) => {
      const map = new Map<Value, Value>()
      for (const [key, value] of evaluates) {
        const name = key(run)
        const held = value(run)
        if (name instanceof Fault) return name
        if (held instanceof Fault) return held
        map.set(name, held)
      }
      return map
    }
  }

  #compileOperator(node: Extract<ASTNode, { args: [ASTNode, ASTNode] }>): Evaluate {
    const operator = OPERATORS[node.op]
    if (operator === undefined) return this.refuse(node, `\`${node.op}\` is not offered`)
    const [left, right] = node.args
    this.#checkClasses(node.op, left, right)
    this.#checkClasses(node.op, right, left)
    return apply(operator, this.compile(left), this.compile(right))
  }

  // A class that is none would be equal to none, and as texts they have no order that anybody means.
  #checkClasses(operator: string, member: ASTNode, other: ASTNode): void {
    const found = member.op === '.' ? this.#findQuietly(member) : undefined
    if (found === undefined || !CLASS_MEMBERS.has(found)) return
    if (ORDER.includes(operator)) {
      const hint = `write level(${found}) ${operator} level("confidential")`
      this.refuse(member, 'classes of data are texts and have no order', hint)
    }
    for (const node of other.op === 'list' ? other.args : [other]) {
      const text = literalText(node)
      if (text === undefined || CLASSES.includes(text)) continue
      this.refuse(node, `\`${text}\` is no class of data`, `there are ${CLASSES.join(', ')}`)
    }
  }

  #findQuietly(node: ASTNode): string | undefined {
    const known = this.faults.length
    const found = this.find(node)
    this.faults.length = known
    return found === undefined || found === 'refused' ? undefined : found.path
  }
}

function constantsOf(items: readonly ASTNode[]): readonly Value[] | undefined {
  const values: Value[] = []
  for (const item of items) {
    if (item.op !== 'value') return undefined
    if (typeof item.args === 'object' && item.args !== null) return undefined
    values.push(item.args)
  }
  return values
}
