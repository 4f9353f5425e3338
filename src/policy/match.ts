// How far a call gets with one rule: host, port, scheme, method, path, query, headers, what is inside, environment, time,
// condition, in this order. The one place that says what matches; `decide.ts` asks it of the rules that the index finds, `explain.ts` of all of them. Pure.

import { contains } from '../wire/address.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { BoundHost, BoundRule, Entry } from './bound-rule.ts'
import type { Circumstances, Facts, TunnelFacts, TunnelMode } from './circumstances.ts'
import type { Condition } from './condition/condition.ts'
import type { Question } from './decision.ts'
import { findMismatch, meetsDeny } from './inside-match.ts'
import { matchPath, matchPathFolded, type BoundPath } from './path-pattern.ts'
import type { Scheme } from './rule-set.ts'
import { allowsHeaders, allowsQuery, deniesHeaders, deniesQuery } from './value-pattern.ts'
import { isWithin } from './window.ts'

/** How far a call got: the dimension it failed at, in order; `MATCHED` is beyond them all. */
export const STAGES = [
  'host',
  'port',
  'scheme',
  'method',
  'path',
  'query',
  'headers',
  'inside',
  'environment',
  'between',
  'when',
  'condition-error',
] as const

/** A dimension's place in `STAGES`, or `MATCHED`. */
export type Stage = number

const HOST = 0
const PORT = 1
const SCHEME = 2
const METHOD = 3
const PATH = 4
const QUERY = 5
const HEADERS = 6
/** What was read of the call fails, or in a deny is not read yet. */
export const INSIDE: Stage = 7
const ENVIRONMENT = 8
/** It is not the time of the rule. */
export const BETWEEN: Stage = 9
/** Its condition is false. */
const WHEN = 10
/** Its condition could not be evaluated. */
export const ERRED: Stage = 11
/** Nothing failed. */
export const MATCHED: Stage = 12

/** Whether an entry's host covers an endpoint's. */
export function coversHost(host: BoundHost, endpoint: Endpoint): boolean {
  if (host.kind === 'exact') return host.host === endpoint.host
  if (host.kind === 'range') return endpoint.kind !== 'name' && contains(host.cidr, endpoint.host)
  if (endpoint.kind !== 'name') return false
  return host.kind === 'any' || endpoint.host.endsWith(`.${host.suffix}`)
}

/** How far an HTTP call gets with an entry whose host covers it. */
export function reach(entry: Entry, facts: Facts): Stage {
  if (hasExpired(entry.rule, facts)) return HOST
  const { verdict, binding } = entry.rule
  if (verdict === 'deny') return reachDeny(entry, facts)
  const isGranting = verdict === 'allow' && binding === 'task'
  return isGranting ? reachAllow(entry, facts) : reachTaking(entry, facts)
}

/** How far an HTTP call gets with what an allow or a hold lets pass: what it names in every reading. */
export function reachGrant(entry: Entry, facts: Facts): Stage {
  return hasExpired(entry.rule, facts) ? HOST : reachAllow(entry, facts)
}

/** Whether a rule is over, and as if it were not there. */
export function hasExpired({ expiresAt }: BoundRule, { moment }: Circumstances): boolean {
  return expiresAt !== undefined && moment.now >= expiresAt
}

function reachAllow({ rule, scheme, port, paths }: Entry, facts: Facts): Stage {
  const { question } = facts
  if (port !== question.endpoint.port) return PORT
  const covers = question.upgrade
    ? scheme === (question.scheme === 'https' ? 'wss' : 'ws')
    : scheme === question.scheme || scheme === (question.scheme === 'https' ? 'wss' : 'ws')
  if (!covers) return SCHEME
  if (rule.methods && !rule.methods.includes(question.method)) return METHOD
  if (paths && !allowsPath(paths, question.path.readings)) return PATH
  if (rule.query && !allowsQuery(rule.query, facts.query)) return QUERY
  if (rule.headers && !allowsHeaders(rule.headers, question.headers)) return HEADERS
  if (rule.inside && findMismatch(rule.inside, question)) return INSIDE
  return reachBeyond(rule, facts)
}

// A hold, and what binds every task, takes back what others allow: it counts for whatever any server may take for what it names, as
// a deny does.
function reachTaking(entry: Entry, facts: Facts): Stage {
  const { rule } = entry
  const { question } = facts
  const stage = reachAllow(entry, facts)
  if (stage < METHOD || stage > INSIDE) return stage
  const missed = findMissed(entry, facts)
  if (missed !== undefined && !(missed === INSIDE && isUnread(rule, question))) return stage
  const beyond = reachBeyond(rule, facts)
  // What was not understood nobody can be asked about.
  const isUnknown = rule.inside !== undefined && question.content?.fault !== undefined
  return beyond === MATCHED && isUnknown ? ERRED : beyond
}

// What an allow and a hold ask after what they name.
function reachBeyond(rule: BoundRule, facts: Facts): Stage {
  const { question } = facts
  if (!rule.isForEnvironment) return ENVIRONMENT
  // Whether a hold holds or denies is not known before it is known what is inside.
  if (rule.verdict === 'hold' && isUnread(rule, question)) return MATCHED
  if (rule.between && !isWithin(rule.between, facts.moment.now)) return BETWEEN
  const { when } = rule
  if (when === undefined || isUnread(rule, question) || isOfSession(rule, question)) return MATCHED
  return judgeCall(rule, when, facts)
}

// Of what was not understood nobody knows what it has inside, nor that it has nothing.
function judgeCall(rule: BoundRule, when: Condition, facts: Facts): Stage {
  const { content } = facts.question
  const isUnknown =
    content?.fault !== undefined &&
    when.needs.some((kind) => kind !== 'body' || content.body === undefined)
  return isUnknown ? ERRED : judgeWhen(rule, when, facts)
}

function judgeWhen(rule: BoundRule, when: Condition, facts: Circumstances): Stage {
  const outcome = facts.judge(rule, when)
  if (outcome === 'error') return ERRED
  return outcome ? MATCHED : WHEN
}

/** Whether a rule looks at bytes of the call that were not read yet. */
function isUnread({ inside, when }: BoundRule, { upgrade, content }: Question): boolean {
  // An upgrade has nothing else to read.
  if (upgrade) return false
  const readsInside = when !== undefined && when.needs.length > 0
  if (content === undefined) return inside !== undefined || readsInside
  return readsInside && content.mcp?.isShown === true
}

/** Whether a call is a message of an MCP session itself, which passes with any rule that names items of its server. */
export function isOfSession({ inside }: BoundRule, { content }: Question): boolean {
  return inside?.mcp !== undefined && content?.mcp?.kind === 'session'
}

function reachDeny(entry: Entry, facts: Facts): Stage {
  const { rule } = entry
  const { question } = facts
  if (rule.ports && !rule.ports.has(question.endpoint.port)) return PORT
  const missed = findMissed(entry, facts)
  if (missed !== undefined) return missed
  if (!rule.isForEnvironment) return ENVIRONMENT
  const { when } = rule
  // Its time may come while the call is read.
  if (when !== undefined && isUnread(rule, question)) return INSIDE
  if (rule.between && !isWithin(rule.between, facts.moment.now)) return BETWEEN
  return when === undefined ? MATCHED : judgeCall(rule, when, facts)
}

// In what no reading of a call is what a rule names; undefined where some reading may be.
function findMissed({ rule, paths }: Entry, facts: Facts): Stage | undefined {
  const { question } = facts
  // Some servers take `get` for GET.
  if (rule.methods && !rule.methods.includes(question.method.toUpperCase())) return METHOD
  if (paths && !deniesPath(paths, facts)) return PATH
  if (rule.query && !deniesQuery(rule.query, facts.query)) return QUERY
  if (rule.headers && !deniesHeaders(rule.headers, question.headers)) return HEADERS
  if (rule.inside && !meetsDeny(rule.inside, question)) return INSIDE
  return undefined
}

// Every reading has to match some pattern: else an upstream that reads the bytes in that way does what no rule allows.
function allowsPath(
  paths: readonly BoundPath[],
  readings: readonly (readonly string[])[],
): boolean {
  for (const reading of readings) if (!matchesSome(paths, reading)) return false
  return true
}

function deniesPath(paths: readonly BoundPath[], facts: Facts): boolean {
  for (const reading of facts.question.path.readings) if (matchesSome(paths, reading)) return true
  return facts.folded.some((reading) => paths.some((path) => matchPathFolded(path, reading)))
}

function matchesSome(paths: readonly BoundPath[], reading: readonly string[]): boolean {
  for (const path of paths) if (matchPath(path, reading)) return true
  return false
}

/** How far a CONNECT gets with an entry whose host covers it, in a tunnel that would be carried in one mode. */
export function reachConnect({ rule, scheme, port, paths }: Entry, facts: TunnelFacts): Stage {
  const { mode } = facts
  if (hasExpired(rule, facts)) return HOST
  if (rule.verdict !== 'deny') {
    if (port !== facts.port) return PORT
    // A rule of another environment or time has no say in how the tunnel is carried, so that this is what it fails at.
    if (!rule.isForEnvironment) return ENVIRONMENT
    const { between } = rule
    if (rule.verdict === 'allow' && between && !isWithin(between, facts.moment.now)) return BETWEEN
    if (modeOf(scheme) !== mode) return SCHEME
    return reachInTime(rule, facts)
  }
  if (rule.ports && !rule.ports.has(facts.port)) return PORT
  if (mode === 'inspect') {
    if (rule.methods) return METHOD
    if (paths) return PATH
    if (rule.query) return QUERY
    if (rule.headers) return HEADERS
    if (rule.inside) return INSIDE
  }
  // Nobody sees what happens inside another tunnel, so a deny of a part of the host denies all of it.
  if (!rule.isForEnvironment) return ENVIRONMENT
  return reachInTime(rule, facts)
}

/** Whether a rule has a tunnel looked into, also at times at which it does not count: at no other time does anybody else. */
export function claimsInspection({ rule, scheme, port }: Entry, facts: TunnelFacts): boolean {
  return (
    port === facts.port &&
    rule.isForEnvironment &&
    !hasExpired(rule, facts) &&
    modeOf(scheme) === 'inspect'
  )
}

// Conditions are asked of the calls inside, where there are any that are seen.
function reachInTime(rule: BoundRule, facts: TunnelFacts): Stage {
  const { between, when, verdict } = rule
  // A hold of calls inside holds no tunnel: outside its window each of them is denied by itself.
  const isInside = facts.mode === 'inspect'
  if (isInside && verdict === 'hold') return MATCHED
  if (between && !isWithin(between, facts.moment.now)) return BETWEEN
  if (when === undefined) return MATCHED
  if (isInside) return verdict === 'deny' ? WHEN : MATCHED
  return judgeWhen(rule, when, facts)
}

// The mode that an allow's scheme asks for.
function modeOf(scheme: Scheme | undefined): TunnelMode {
  return scheme === 'tls' || scheme === 'tcp' ? scheme : 'inspect'
}

/** How far a call gets with an entry whose host does not cover it. */
export const NO_HOST: Stage = HOST
