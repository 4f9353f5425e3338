// The values that a condition computes with, how they compare, and how a member of one is read. What cannot be answered is a
// `Fault`, returned and never thrown: a condition's meaning of an error is a verdict like any other. Stricter than CEL where
// whoever sends the call chooses the type. Pure; called by the other files of this room.

// As deep as the JSON that is read.
const NESTED_MAX = 64

/** Why a part of a condition has no value. */
export class Fault {
  /** Half a sentence for people, lower case, without a full stop; holds nothing of what was sent. */
  readonly why: string

  constructor(why: string) {
    this.why = why
  }
}

/** A point of time, in milliseconds since 1970. */
export class Instant {
  readonly epochMs: number

  constructor(epochMs: number) {
    this.epochMs = epochMs
  }
}

/** A length of time. */
export class Span {
  readonly ms: number

  constructor(ms: number) {
    this.ms = ms
  }
}

/** Names that may be there more than once, seen as having one value each: reading a repeated one is an error. */
export class SingleValued {
  readonly all: ReadonlyMap<string, readonly string[]>

  constructor(all: ReadonlyMap<string, readonly string[]>) {
    this.all = all
  }
}

/** An object of a JSON text: ask it with `Object.hasOwn`. */
export interface JsonObject {
  readonly [name: string]: Value
}

/** What a part of a condition comes to. Whole numbers of a condition are bigints, those of JSON are numbers. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | readonly Value[]
  | ReadonlyMap<Value, Value>
  | SingleValued
  | Instant
  | Span
  | JsonObject
  | Fault

/** The work that is left to one evaluation. */
export interface Budget {
  /** Takes steps away. @returns false where they are used up, from then on */
  spend(steps: number): boolean
}

/** The work that one evaluation may do is used up. */
export const OVER: Fault = new Fault('costs more than a condition may')

/** A value of JSON as one of a condition; its objects stay as they are. */
export function fromJson(json: unknown): Value {
  return isJson(json) ? json : new Fault('is no JSON')
}

// Of what a JSON text was read into all of it is JSON where the outermost is.
function isJson(value: unknown): value is null | boolean | number | string | JsonObject {
  return ['boolean', 'number', 'string', 'object'].includes(typeof value)
}

/** Whether a value is an object of JSON. */
export function isJsonObject(value: Value): value is JsonObject {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Map) &&
    !(value instanceof SingleValued) &&
    !(value instanceof Instant) &&
    !(value instanceof Span) &&
    !(value instanceof Fault)
  )
}

/** Whether a value is a list. */
export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value)
}

/** Whether a value is a map of ours: not one out of JSON. */
export function isMap(value: Value): value is ReadonlyMap<Value, Value> {
  return value instanceof Map
}

/** What a value is called in faults. */
export function nameType(value: Value): string {
  if (value === null) return 'null'
  if (typeof value === 'bigint') return 'an int'
  if (typeof value === 'number') return 'a number'
  if (typeof value === 'string') return 'a string'
  if (typeof value === 'boolean') return 'a bool'
  if (isList(value)) return 'a list'
  if (value instanceof Instant) return 'a timestamp'
  if (value instanceof Span) return 'a duration'
  return 'a map'
}

/** Whether a name is there; of a repeated one too. */
export function hasMember(value: Value, key: Value): boolean | Fault {
  if (value instanceof Fault) return value
  if (key instanceof Fault) return key
  if (value instanceof SingleValued) return typeof key === 'string' && value.all.has(key)
  if (isMap(value)) return value.has(key)
  if (!isJsonObject(value)) return new Fault(`${nameType(value)} has no members`)
  if (typeof key !== 'string') return new Fault(`${nameType(key)} is no name of a member`)
  return Object.hasOwn(value, key)
}

/** Reads a member, or an item of a list. */
export function readMember(value: Value, key: Value): Value {
  if (value instanceof Fault) return value
  if (key instanceof Fault) return key
  if (isList(value)) return readItem(value, key)
  if (value instanceof SingleValued) return readSingle(value, key)
  if (isMap(value)) return value.get(key) ?? absentIn(value, key)
  if (isJsonObject(value) && typeof key === 'string' && Object.hasOwn(value, key))
    return value[key]!
  return absentIn(value, key)
}

function absentIn(value: Value, key: Value): Value {
  const has = hasMember(value, key)
  if (has instanceof Fault) return has
  // Of a map a name may stand for null.
  return has ? null : new Fault('no such member')
}

function readSingle({ all }: SingleValued, key: Value): Value {
  const values = typeof key === 'string' ? all.get(key) : undefined
  if (values === undefined) return new Fault('is not there')
  return values.length === 1 ? values[0]! : new Fault('is there more than once')
}

function readItem(list: readonly Value[], key: Value): Value {
  const at = typeof key === 'bigint' || typeof key === 'number' ? Number(key) : Number.NaN
  if (!Number.isInteger(at)) return new Fault(`${nameType(key)} is no place in a list`)
  return at >= 0 && at < list.length ? list[at]! : new Fault('the list is shorter')
}

/**
 * Whether two values are the same. Values of different types are an error and not unequal, so that `amount != 100` does not
 * hold for `"100"`; null compares with everything.
 */
export function isEqual(left: Value, right: Value, budget: Budget, depth = 0): boolean | Fault {
  if (left instanceof Fault) return left
  if (right instanceof Fault) return right
  if (left === null || right === null) return left === right
  if (isNumber(left) && isNumber(right)) return isSameNumber(left, right)
  if (typeof left === 'string' && typeof right === 'string') {
    if (left.length !== right.length) return false
    return budget.spend(left.length >> 6) ? left === right : OVER
  }
  if (typeof left === 'boolean' && typeof right === 'boolean') return left === right
  if (left instanceof Instant && right instanceof Instant) return left.epochMs === right.epochMs
  if (left instanceof Span && right instanceof Span) return left.ms === right.ms
  if (depth >= NESTED_MAX) return new Fault('nested too deeply')
  if (isList(left) && isList(right)) return areListsEqual(left, right, budget, depth + 1)
  const names = listNames(left)
  const others = listNames(right)
  if (names && others) return areMapsEqual({ left, right, names, others }, budget, depth + 1)
  return new Fault(`${nameType(left)} and ${nameType(right)} do not compare`)
}

function isNumber(value: Value): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}

function isSameNumber(left: number | bigint, right: number | bigint): boolean {
  // Of an int and a double: by value, exactly.
  // oxlint-disable-next-line eqeqeq
  return left == right
}

function areListsEqual(
  left: readonly Value[],
  right: readonly Value[],
  budget: Budget,
  depth: number,
): boolean | Fault {
  if (left.length !== right.length) return false
  for (const [at, value] of left.entries()) {
    if (!budget.spend(1)) return OVER
    const same = isEqual(value, right[at]!, budget, depth)
    if (same !== true) return same
  }
  return true
}

function listNames(value: Value): readonly Value[] | undefined {
  if (isMap(value)) return [...value.keys()]
  return isJsonObject(value) ? Object.keys(value) : undefined
}

/** Two maps and their names. */
interface TwoMaps {
  readonly left: Value
  readonly right: Value
  readonly names: readonly Value[]
  readonly others: readonly Value[]
}

function areMapsEqual(
  { left, right, names, others }: TwoMaps,
  budget: Budget,
  depth: number,
): boolean | Fault {
  if (!budget.spend(names.length + others.length)) return OVER
  if (names.length !== others.length) return false
  for (const name of names) {
    if (hasMember(right, name) !== true) return false
    const same = isEqual(readMember(left, name), readMember(right, name), budget, depth)
    if (same !== true) return same
  }
  return true
}

/** How two values are ordered: below 0, 0, above 0. Values of different types have no order. */
export function compare(left: Value, right: Value, budget: Budget): number | Fault {
  if (left instanceof Fault) return left
  if (right instanceof Fault) return right
  if (isNumber(left) && isNumber(right)) return order(left, right)
  if (typeof left === 'string' && typeof right === 'string')
    return budget.spend(Math.min(left.length, right.length) >> 6) ? order(left, right) : OVER
  if (typeof left === 'boolean' && typeof right === 'boolean') return order(left, right)
  if (left instanceof Instant && right instanceof Instant) return order(left.epochMs, right.epochMs)
  if (left instanceof Span && right instanceof Span) return order(left.ms, right.ms)
  return new Fault(`${nameType(left)} and ${nameType(right)} have no order`)
}

function order<Ordered extends number | bigint | string | boolean>(
  left: Ordered,
  right: Ordered,
): number | Fault {
  if (left < right) return -1
  if (left > right) return 1
  // Only what is not a number is neither.
  return left >= right ? 0 : new Fault('is not a number')
}

/** Whether a list has a value, or a map a name. */
export function contains(container: Value, value: Value, budget: Budget): boolean | Fault {
  if (container instanceof Fault) return container
  if (value instanceof Fault) return value
  if (!isList(container)) return hasMember(container, value)
  let fault: Fault | undefined
  for (const item of container) {
    if (!budget.spend(1)) return OVER
    const same = isEqual(item, value, budget)
    if (same === true) return true
    if (same instanceof Fault) fault ??= same
  }
  return fault ?? false
}
