// The controls of a running sidecar that are looked at again and again, each by the very part that keeps it. Made by
// `oversight.ts`; how they are told, `record/detect/self-check.ts` says.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import type { Arrival } from '../call.ts'
import type { SecretAges } from '../credentials/ages.ts'
import type { TakeBack } from '../credentials/take-back.ts'
import { EgressError } from '../errors.ts'
import { TaskRefusal, type Identifier } from '../identify/identify.ts'
import type { Doors } from '../listen/doors.ts'
import type { Dialer } from '../net/dial.ts'
import type { Policy } from '../policy/compile.ts'
import { decideTogether } from '../policy/conjunction.ts'
import type { Decision, Question } from '../policy/decision.ts'
import type { BoundHost } from '../policy/bound-rule.ts'
import type { Log } from '../record/log.ts'
import { SelfChecks, type SelfCheck } from '../record/detect/self-check.ts'
import { findTailTampering } from '../record/proof/tail-check.ts'
import type { SinkFeed } from '../record/sinks/feed.ts'
import type { TaskEntry } from '../tasks/entry.ts'
import type { Ca } from '../tls/ca.ts'
import { readPath } from '../wire/path.ts'
import { makeUlid } from '../wire/ulid.ts'
import type { CaWatch } from './ca-watch.ts'
import type { Config } from './config.ts'
import type { Records } from './records.ts'
import { RuleFileReader } from './rule-files.ts'
import type { RuleWatch } from './rule-watch.ts'
import type { TaskPolicies } from './task-policies.ts'

/** What the checks look at. */
export interface SelfCheckParts {
  readonly config: Config
  readonly log: Log
  readonly records: Pick<Records, 'checkpoints' | 'journal' | 'recorder'>
  readonly room: {
    readonly own: Pick<TaskEntry, 'id' | 'state'> | undefined
    readonly registry: { readonly entries: { readonly live: Iterable<Pick<TaskEntry, 'task'>> } }
    readonly policies: Pick<TaskPolicies, 'chainOf'>
  }
  readonly rules: RuleWatch
  readonly identifier: Pick<Identifier, 'identify'>
  readonly dialer: Pick<Dialer, 'wouldDial'>
  readonly ages: Pick<SecretAges, 'look'>
  readonly takeBack: Pick<TakeBack, 'late'>
  readonly ca: Pick<CaWatch, 'current'>
  readonly sinks: readonly Pick<SinkFeed, 'stats'>[]
  /** Its address is null while it does not listen. */
  readonly proxy: Pick<Doors, 'address'>
  readonly clock: CheckedClock
}

/** Two clocks, in milliseconds, of which one cannot be set. */
export interface CheckedClock {
  /** Since the epoch. */
  readonly now: () => number
  /** Since some moment that stays the same. */
  readonly elapsed: () => number
}

/** What a client calls itself that is none: the inventory leaves it out. */
export const SELF_CHECK_CLIENT = 'self-check'

/** RFC 6761 section 6.4. */
const NOBODYS_DOMAIN = 'invalid'
/** Tasks whose rules are asked at each look. */
const TASKS_ASKED = 100
/** A change of the rule files counts after two readings half a second apart. */
const RULES_SETTLE_MS = 1500
const CLOCK_TOLERANCE_MS = 2000
const OTHERS_MASK = 0o007
const CONTROL_MODE_MASK = 0o007
const METADATA_PORT = 80
const METADATA_ADDRESSES = ['169.254.169.254', 'fd00:ec2::254', '100.100.100.200']

/** Begins to look. */
export function startSelfChecks(parts: SelfCheckParts): SelfChecks {
  const { config, log, records } = parts
  return new SelfChecks({
    checks: selfChecksOf(parts),
    everyMs: config.limits.selfCheckMs,
    sign: (text) => records.checkpoints.signText(text),
    record: (action, fields) => records.recorder.recordEvent(action, fields),
    onFailed: (names) => log.error({ checks: names }, 'self-checks fail that did not fail before'),
    now: Date.now,
  })
}

function selfChecksOf(parts: SelfCheckParts): readonly SelfCheck[] {
  const { config, records, ca, sinks, ages, takeBack } = parts
  return [
    { name: 'journal-tail', find: () => findTailTampering(records.journal) },
    { name: 'deny-by-default', find: () => findAllowedByDefault(parts) },
    { name: 'unknown-client', find: () => findTrustedStranger(parts) },
    { name: 'metadata-addresses', find: () => findOpenAddress(parts) },
    // The last good rules stay in force, and calls are judged by them.
    { name: 'rules-in-force', isAdvisory: true, find: () => findStaleRules(parts) },
    { name: 'key-files', find: () => findReadableKey(config) },
    { name: 'ca-certificate', find: () => findWrongCa(ca.current, config) },
    { name: 'control-socket', find: () => findOpenControl(config) },
    { name: 'clock', find: makeClockCheck(parts.clock) },
    { name: 'sinks', isAdvisory: true, find: makeSinkCheck(sinks) },
    { name: 'credentials', isAdvisory: true, find: () => findAbsentCredential(ages) },
    { name: 'revocations', isAdvisory: true, find: () => findLateRevocation(takeBack) },
  ]
}

// What no rule names: a name that does not exist, a port and a method nobody asks for.
function questionOf(host: string): Question {
  return {
    endpoint: { host, kind: 'name', port: 1, literal: host },
    scheme: 'http',
    upgrade: false,
    method: 'SELF-CHECK',
    path: readPath('/'),
    query: undefined,
    headers: ['Host', host],
  }
}

/** Says where the rules in force for a task let out what none of them covers. */
export function findAllowedByDefault({ room }: Pick<SelfCheckParts, 'room'>): string | undefined {
  const question = questionOf(`${makeUlid(Date.now()).toLowerCase()}.${NOBODYS_DOMAIN}`)
  let asked = 0
  for (const { task } of room.registry.entries.live) {
    if (asked >= TASKS_ASKED) break
    const policies = room.policies.chainOf(task)
    // I5: a task without rules lets nothing out.
    // One that observes says so everywhere else: nothing is held against it here.
    if (policies === undefined || task.observe === true) continue
    asked += 1
    const { verdict, rule } = decideTogether(policies, question, {
      now: Date.now(),
      read: 'public',
    })
    // A rule that names every host and the port is a rule; what passes without one is none.
    if (verdict === 'allow' && !policies.some((policy) => hasRule(policy, rule)))
      return 'a call that no rule allows is let out'
  }
  return undefined
}

// Whether it is among those that are in force, and covers a name that nobody has.
function hasRule({ inside: { rules } }: Policy, rule: Decision['rule']): boolean {
  return rules.some(
    ({ ref, verdict, entries }) =>
      verdict === 'allow' &&
      ref.id === rule?.id &&
      ref.ruleset === rule.ruleset &&
      entries.some(({ host }) => host.kind === 'any' || isBelowInvalid(host)),
  )
}

function isBelowInvalid(host: BoundHost): boolean {
  return host.kind === 'below' && host.suffix === NOBODYS_DOMAIN
}

/** Says where a made-up credential is taken for a task's, or nobody is asked as the proxy does not listen. */
export function findTrustedStranger({
  identifier,
  room,
  proxy,
}: Pick<SelfCheckParts, 'identifier' | 'room' | 'proxy'>): string | undefined {
  if (proxy.address() === null) return 'the proxy does not listen'
  const now = Date.now()
  const client = { address: SELF_CHECK_CLIENT }
  const arrival: Arrival = { id: makeUlid(now), kind: 'forward', startedAt: now, client }
  // Under the name of a task that there is: under another no token is worth anything.
  const [entry] = room.registry.entries.live
  const login = Buffer.from(`${entry?.task.id ?? 't_nobody'}:${makeUlid(now)}`).toString('base64')
  try {
    const { task } = identifier.identify(arrival, ['Proxy-Authorization', `Basic ${login}`])
    // Whoever reaches the listener of one task is that task.
    return task.id === room.own?.id ? undefined : 'a client with a made-up credential is a task'
  } catch (error) {
    // It was refused for what it is, or it is known whose it would be.
    if (error instanceof TaskRefusal && error.task.id !== room.own?.id)
      return 'a made-up credential is known as that of a task'
    if (error instanceof EgressError) return undefined
    throw error
  }
}

/** Says which address would be dialed that never may be. */
export function findOpenAddress({
  dialer,
  proxy,
}: Pick<SelfCheckParts, 'dialer' | 'proxy'>): string | undefined {
  if (METADATA_ADDRESSES.some((address) => dialer.wouldDial(address, METADATA_PORT)))
    return 'an address of cloud metadata may be dialed'
  const bound = proxy.address()
  if (typeof bound !== 'object' || bound === null) return undefined
  const { address, port } = bound
  return dialer.wouldDial(address, port) ? 'the proxy may be dialed by itself' : undefined
}

async function findStaleRules({ rules, config }: SelfCheckParts): Promise<string | undefined> {
  const reader = new RuleFileReader([config.rules.dir], config.limits.ruleFileBytesMax)
  const isInForce = (): boolean => reader.read().digest === rules.inForce?.digest
  if (isInForce()) return undefined
  await delay(RULES_SETTLE_MS)
  if (isInForce()) return undefined
  return rules.refusedProblems.length > 0
    ? 'the rule files were refused; what was in force stays so'
    : 'the rules in force are not those of the files'
}

// Its own group may read: volumes of orchestrators belong to one.
function findReadableKey({ stateDir, ca }: Config): string | undefined {
  const names = readdirSync(stateDir).filter((name) => /\.key$|-keys\.json$/.test(name))
  for (const file of new Set([...names.map((name) => path.join(stateDir, name)), ca.keyFile])) {
    const { mode } = statSync(file)
    if ((mode & OTHERS_MASK) !== 0)
      return `${path.basename(file)} may be read or written by others: mode ${(mode & 0o777).toString(8)}`
  }
  return undefined
}

function findWrongCa(ca: Ca, config: Config): string | undefined {
  if (ca.notAfter <= Date.now()) return 'the interception CA has expired'
  const published = readFileSync(path.join(config.ca.dir, 'ca.crt'), 'utf8')
  return published.trim() === ca.certPem.trim()
    ? undefined
    : 'ca.crt is not the certificate of the CA in use'
}

function findOpenControl({ control: { listen } }: Config): string | undefined {
  if (listen.kind === 'tcp') return undefined
  const stats = statSync(listen.path)
  if (!stats.isSocket()) return 'the control socket is gone'
  return (stats.mode & CONTROL_MODE_MASK) === 0 ? undefined : 'the control socket is open to others'
}

/**
 * Makes the check of the time of day against a clock that cannot be set: what goes back lets what has ended go on. Small steps
 * add up until they are told, which is once.
 */
export function makeClockCheck({ now, elapsed }: CheckedClock): SelfCheck['find'] {
  let latest = -Infinity
  return () => {
    const offset = now() - elapsed()
    const isBack = offset < latest - CLOCK_TOLERANCE_MS
    latest = isBack ? offset : Math.max(latest, offset)
    return isBack ? 'the clock went back' : undefined
  }
}

function makeSinkCheck(sinks: SelfCheckParts['sinks']): SelfCheck['find'] {
  const before = new Map<string, number>()
  return () => {
    const stuck: string[] = []
    for (const { name, backlog, sent } of sinks.map(({ stats }) => stats)) {
      if (backlog > 0 && before.get(name) === sent) stuck.push(name)
      before.set(name, sent)
    }
    return stuck.length === 0 ? undefined : `no progress: ${stuck.join(', ')}`
  }
}

function findLateRevocation(takeBack: SelfCheckParts['takeBack']): string | undefined {
  const late = takeBack.late()
  return late.length === 0 ? undefined : `not taken back for minutes: ${late.join(', ')}`
}

async function findAbsentCredential(ages: SelfCheckParts['ages']): Promise<string | undefined> {
  const absent = await ages.look()
  return absent.length === 0 ? undefined : `without a value: ${absent.join(', ')}`
}
