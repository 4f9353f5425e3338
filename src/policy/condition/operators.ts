// The operators of conditions: how the values of operands become one. An int and a number of JSON compute as doubles, because
// people write `amount * 2`; whatever overflows or is no number is an error. Pure; called by `compile.ts`.

import { BUILT_MAX, ITEMS_MAX } from './bounds.ts'
import type { Evaluate, Run } from './run.ts'
import {
  compare,
  contains,
  Fault,
  Instant,
  isEqual,
  isList,
  nameType,
  OVER,
  Span,
  type Budget,
  type Value,
} from './values.ts'

const INT_MAX = 2n ** 63n - 1n
const INT_MIN = -(2n ** 63n)

/** Both, with CEL's meaning of errors: false beside an error is false. */
export function both(left: Evaluate, right: Evaluate): Evaluate {
  return (run) => connect(left, right, run, false)
}

/** Either: true beside an error is true. */
export function either(left: Evaluate, right: Evaluate): Evaluate {
  return (run) => connect(left, right, run, true)
}

function connect(left: Evaluate, right: Evaluate, run: Run, deciding: boolean): Value {
  const first = left(run)
  if (first === deciding) return first
  const second = right(run)
  if (second === deciding) return second
  if (typeof first !== 'boolean') return faultOf(first)
  return typeof second === 'boolean' ? second : faultOf(second)
}

/** What to answer where true or false was needed. */
export function faultOf(value: Value): Fault {
  return value instanceof Fault ? value : new Fault(`${nameType(value)} is neither true nor false`)
}

/** Not. */
export function not(operand: Evaluate): Evaluate {
  return (run) => {
    const value = operand(run)
    return typeof value === 'boolean' ? !value : faultOf(value)
  }
}

/** Minus. */
export function negate(operand: Evaluate): Evaluate {
  return (run) => {
    const value = operand(run)
    if (typeof value === 'bigint') return inRange(-value)
    if (typeof value === 'number') return -value
    return value instanceof Fault ? value : new Fault(`${nameType(value)} has no negative`)
  }
}

/** One of two, by a condition. */
export function choose(condition: Evaluate, then: Evaluate, otherwise: Evaluate): Evaluate {
  return (run) => {
    const value = condition(run)
    if (typeof value !== 'boolean') return faultOf(value)
    return value ? then(run) : otherwise(run)
  }
}

type Operator = (left: Value, right: Value, budget: Budget) => Value

const ordered =
  (holds: (order: number) => boolean): Operator =>
  (left, right, budget) => {
    const order = compare(left, right, budget)
    return typeof order === 'number' ? holds(order) : order
  }

/** Operators of two operands, by how they are written. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  '==': isEqual,
  '!=': (left, right, budget) => {
    const same = isEqual(left, right, budget)
    return typeof same === 'boolean' ? !same : same
  },
  '<': ordered((order) => order < 0),
  '<=': ordered((order) => order <= 0),
  '>': ordered((order) => order > 0),
  '>=': ordered((order) => order >= 0),
  in: (left, right, budget) => contains(right, left, budget),
  '+': add,
  '-': subtract,
  '*': (left, right) =>
    compute(
      left,
      right,
      (one, other) => one * other,
      (one, other) => one * other,
    ),
  '/': (left, right) =>
    isZero(right)
      ? new Fault('is divided by zero')
      : compute(
          left,
          right,
          (one, other) => one / other,
          (one, other) => one / other,
        ),
  '%': (left, right) =>
    isZero(right)
      ? new Fault('is divided by zero')
      : compute(
          left,
          right,
          (one, other) => one % other,
          (one, other) => one % other,
        ),
}

/** Applies an operator to two operands. */
export function apply(operator: Operator, left: Evaluate, right: Evaluate): Evaluate {
  return (run) => operator(left(run), right(run), run)
}

function add(left: Value, right: Value, budget: Budget): Value {
  if (typeof left === 'string' && typeof right === 'string') return concatenate(left, right, budget)
  if (isList(left) && isList(right)) {
    const length = left.length + right.length
    if (length > ITEMS_MAX) return new Fault(`more than ${ITEMS_MAX} items`)
    return budget.spend(length) ? [...left, ...right] : OVER
  }
  if (left instanceof Span && right instanceof Instant) return later(right, left.ms)
  if (left instanceof Instant && right instanceof Span) return later(left, right.ms)
  if (left instanceof Span && right instanceof Span) return new Span(left.ms + right.ms)
  return compute(
    left,
    right,
    (one, other) => one + other,
    (one, other) => one + other,
  )
}

function subtract(left: Value, right: Value): Value {
  if (left instanceof Instant && right instanceof Instant)
    return new Span(left.epochMs - right.epochMs)
  if (left instanceof Instant && right instanceof Span) return later(left, -right.ms)
  if (left instanceof Span && right instanceof Span) return new Span(left.ms - right.ms)
  return compute(
    left,
    right,
    (one, other) => one - other,
    (one, other) => one - other,
  )
}

function later(instant: Instant, ms: number): Value {
  const epochMs = instant.epochMs + ms
  // Beyond these a date has no fields.
  return Math.abs(epochMs) <= 8.64e15 ? new Instant(epochMs) : new Fault('is beyond all dates')
}

function concatenate(left: string, right: string, budget: Budget): Value {
  const length = left.length + right.length
  if (length > BUILT_MAX) return new Fault(`a text of more than ${BUILT_MAX} characters`)
  return budget.spend(length >> 6) ? left + right : OVER
}

function isZero(value: Value): boolean {
  return value === 0n || value === 0
}

function compute(
  left: Value,
  right: Value,
  ofInts: (left: bigint, right: bigint) => bigint,
  ofDoubles: (left: number, right: number) => number,
): Value {
  if (left instanceof Fault) return left
  if (right instanceof Fault) return right
  if (typeof left === 'bigint' && typeof right === 'bigint') return inRange(ofInts(left, right))
  const one = asDouble(left)
  const other = asDouble(right)
  if (one === undefined || other === undefined)
    return new Fault(`${nameType(left)} and ${nameType(right)} do not compute`)
  const result = ofDoubles(one, other)
  return Number.isFinite(result) ? result : new Fault('is no finite number')
}

function asDouble(value: Value): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value !== 'bigint') return undefined
  const double = Number(value)
  return Number.isSafeInteger(double) ? double : undefined
}

/** An int of 64 bits, or that it is none. */
export function inRange(value: bigint): bigint | Fault {
  return value <= INT_MAX && value >= INT_MIN ? value : new Fault('is beyond 64 bits')
}
