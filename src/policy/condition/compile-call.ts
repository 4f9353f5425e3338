// Calls within a condition, compiled: functions, methods and comprehensions of which each is one that there is, with the
// arguments it takes. What has no bound is refused by its name and with what to write instead. Pure; called by `compile.ts`.

import type { ASTNode } from '@marcbachmann/cel-js'

import { DATA_CLASSES } from '../../tasks/task.ts'
import { suggestName } from '../suggest.ts'
import { literalText, type Compiling } from './compiling.ts'
import { ENVIRONMENT } from './environment.ts'
import { FUNCTIONS, METHODS, PATTERNED, testText, type Apply } from './functions.ts'
import { LOOPS } from './loops.ts'
import { zoneNames } from '../zone.ts'
import type { Evaluate } from './run.ts'
import { partOf, readInstant, readSpan, TIME_METHODS, clockOf } from './times.ts'
import { Fault, type Value } from './values.ts'

type CallNode = Extract<ASTNode, { op: 'call' }>
type MethodNode = Extract<ASTNode, { op: 'rcall' }>

const CLASSES: readonly string[] = DATA_CLASSES
/** What is read with the condition where its argument is written in it. */
const CONSTANTS: Readonly<Record<string, (text: string) => Value>> = {
  timestamp: readInstant,
  duration: readSpan,
}
const FUNCTION_NAMES = [...Object.keys(FUNCTIONS), ...Object.keys(PATTERNED), 'has']
const METHOD_NAMES = [...Object.keys(METHODS), ...Object.keys(LOOPS), ...TIME_METHODS]

/** Compiles `name(…)`. */
export function compileCall(compiler: Compiling, node: CallNode): Evaluate {
  const [name, args] = node.args
  if (name === 'has') return compiler.compileHas(args[0])
  if (Object.hasOwn(PATTERNED, name)) return compilePatterned(compiler, node)
  const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined
  if (known === undefined) {
    const near = suggestName(name, FUNCTION_NAMES)
    const hint =
      near === undefined ? `there are ${FUNCTION_NAMES.join(', ')}` : `did you mean \`${near}\`?`
    return compiler.refuse(node, `there is no function \`${name}\``, hint)
  }
  const text = literalText(args[0])
  if (name === 'level' && text !== undefined && !CLASSES.includes(text))
    return compiler.refuse(
      args[0]!,
      `\`${text}\` is no class of data`,
      `there are ${CLASSES.join(', ')}`,
    )
  if (text !== undefined && Object.hasOwn(CONSTANTS, name))
    return compileConstant(compiler, args[0]!, CONSTANTS[name]!(text))
  return applyTo(compiler, known, args)
}

function compileConstant(compiler: Compiling, node: ASTNode, value: Value): Evaluate {
  compiler.nodes += 1
  if (value instanceof Fault) return compiler.refuse(node, value.why)
  return () => value
}

function applyTo(compiler: Compiling, call: Apply, args: readonly ASTNode[]): Evaluate {
  const [first, second, third] = args.map((arg) => compiler.compile(arg))
  return (run) => {
    const one = first ? first(run) : null
    if (one instanceof Fault) return one
    const two: Value | undefined = second?.(run)
    if (two instanceof Fault) return two
    const three: Value | undefined = third?.(run)
    if (three instanceof Fault) return three
    return call(run, one, two!, three!)
  }
}

function compilePatterned(compiler: Compiling, node: CallNode): Evaluate {
  const [name, [subject, pattern]] = node.args
  const written = literalText(pattern)
  if (subject === undefined || pattern === undefined || written === undefined)
    return compiler.refuse(
      pattern ?? node,
      `${name}() takes a text and a pattern that is written here`,
      `write ${name}(call.host, ${name === 'cidr' ? '"10.0.0.0/8"' : '"pattern"'})`,
    )
  const test = PATTERNED[name]!(written)
  if (typeof test === 'string') return compiler.refuse(pattern, test)
  const text = compiler.compile(subject)
  return (run) => testText(test, text(run), run)
}

/** Compiles `value.name(…)`. */
export function compileMethod(compiler: Compiling, node: MethodNode): Evaluate {
  const [name, receiver, args] = node.args
  if (name === 'matches')
    return compiler.refuse(
      node,
      '`matches` is not offered: what it costs has no bound',
      "write re2(text, 'pattern'): part of the text has to match, ^ and $ are its ends",
    )
  if (receiver.op === 'id' && receiver.args === 'cel')
    return compiler.refuse(node, '`cel.bind` is not offered', 'write the value out')
  if (Object.hasOwn(LOOPS, name)) return compileLoop(compiler, node)
  if (TIME_METHODS.includes(name)) return compileTimePart(compiler, node)
  const known = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined
  if (known) return applyTo(compiler, known, [receiver, ...args])
  const isFunction = Object.hasOwn(PATTERNED, name) || Object.hasOwn(FUNCTIONS, name)
  const near = suggestName(name, METHOD_NAMES)
  const hint = isFunction
    ? `write ${name}(…)`
    : near === undefined
      ? `there are ${METHOD_NAMES.join(', ')}`
      : `did you mean \`${near}\`?`
  return compiler.refuse(node, `there is no method \`${name}\``, hint)
}

function compileTimePart(compiler: Compiling, node: MethodNode): Evaluate {
  const [name, receiver, [zone]] = node.args
  const value = compiler.compile(receiver)
  if (zone === undefined) return (run) => partOf(name, value(run))
  const written = literalText(zone)
  const toLocal = written === undefined ? undefined : clockOf(written)
  if (toLocal === undefined) return refuseZone(compiler, zone, written)
  return (run) => partOf(name, value(run), toLocal)
}

function refuseZone(compiler: Compiling, zone: ASTNode, written: string | undefined): Evaluate {
  if (written === undefined)
    return compiler.refuse(zone, 'a zone is written out', 'write such as "Europe/Berlin"')
  const near = suggestName(written, zoneNames())
  const hint = near === undefined ? 'write such as "Europe/Berlin"' : `did you mean \`${near}\`?`
  return compiler.refuse(zone, `\`${written}\` is no zone`, hint)
}

// A comprehension in another one multiplies what both cost, for whoever chooses the lists.
function compileLoop(compiler: Compiling, node: MethodNode): Evaluate {
  const [name, receiver, args] = node.args
  const [variable, ...body] = args
  if (compiler.item !== undefined)
    return compiler.refuse(
      node,
      'comprehensions do not stand in each other',
      'use `in`, or write two rules',
    )
  if (variable?.op !== 'id')
    return compiler.refuse(variable ?? node, `${name}() takes a name for the items`)
  if (Object.hasOwn(ENVIRONMENT, variable.args))
    return compiler.refuse(variable, `\`${variable.args}\` means something else already`)
  const over = compiler.compile(receiver)
  const before = compiler.nodes
  compiler.item = variable.args
  const evaluates = body.map((part) => compiler.compile(part))
  compiler.item = undefined
  const stepsPerItem = compiler.nodes - before + 1
  const [predicate, transform] =
    name === 'map' && evaluates.length === 1 ? [always, evaluates[0]] : evaluates
  return LOOPS[name]!({
    over,
    predicate: predicate ?? always,
    ...(transform && { transform }),
    stepsPerItem,
  })
}

const always: Evaluate = () => true
