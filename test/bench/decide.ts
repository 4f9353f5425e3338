// What a decision costs, for `bench.ts`: decisions a second by sets of many sizes and kinds, and the share of a call's time that
// deciding takes, from the records of a sidecar under load. Rates are of one core; only their ratios are worth comparing.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import { makePki } from '../fixtures/pki.ts'
import { compilePolicy, type Policy } from '../../src/policy/compile.ts'
import { decide } from '../../src/policy/decide.ts'
import type { Question } from '../../src/policy/decision.ts'
import { parseRuleSet } from '../../src/policy/parse.ts'
import { askAbout } from '../../src/policy/written-call.ts'
import { runLoad } from './load.ts'
import { directory, file, startOrigin, startSidecar } from './parties.ts'

/** One set and what deciding by it costs. */
export interface DecideCost {
  readonly what: string
  readonly rules: number
  readonly verdict: string
  /** The median of the rounds. */
  readonly perSecond: number
  /** Against the first one. */
  readonly ratio: number
}

/** How much of calls' time is spent on deciding. */
export interface DecideShare {
  readonly rules: number
  readonly calls: number
  readonly decideUs: { readonly p50: number; readonly p99: number }
  readonly callUs: { readonly p50: number; readonly p99: number }
  /** Of the sum of all calls' time, that of the upstream included. */
  readonly share: number
}

interface Case {
  readonly what: string
  readonly rules: readonly string[]
  readonly call: string
}

const HOST = 'origin.test'
const OWN = 10
const BATCH = 2000
const NOW = Date.UTC(2026, 0, 7, 12)
const WINDOW = "between: { days: [mon, tue, wed], from: '08:00', to: '18:00', zone: Europe/Berlin }"
const CONDITION = `when: 'task.environment == "test" && call.query.page != "0"'`

const many = (count: number, make: (at: number) => string): string[] =>
  Array.from({ length: count }, (_, at) => make(at))

/** Rules of one host that differ in their paths. */
const own = (count: number, more = '', verdict = 'allow'): string[] =>
  many(
    count,
    (at) =>
      `{ id: own${at}, ${verdict}: 'https://${HOST}', methods: [GET], paths: ['/p${at}/**']${more === '' ? '' : `, ${more}`} }`,
  )
const others = (count: number): string[] =>
  many(
    count,
    (at) =>
      `{ id: other${at}, allow: 'https://h${at}.other.test', methods: [GET], paths: ['/p/**'] }`,
  )
const wildcards = (count: number): string[] =>
  many(count, (at) => `{ id: wild${at}, deny: 'https://*.w${at}.test' }`)

const CALL = `GET https://${HOST}/p${OWN - 1}/items/7?page=2`
const of = (what: string, rules: readonly string[], call = CALL): Case => ({ what, rules, call })
const CASES: readonly Case[] = [
  of('of the host alone', own(OWN)),
  of('and 1 000 for other hosts', [...own(OWN), ...others(1000)]),
  of('and 10 000 for other hosts', [...own(OWN), ...others(10_000)]),
  of('and 10 000 wildcards of other hosts', [...own(OWN), ...wildcards(10_000)]),
  of('no rule for the host', others(10_000), 'GET https://nowhere.test/'),
  of('1 000 of the host', own(1000), 'GET https://origin.test/p999/items/7?page=2'),
  of('10 000 of the host', own(10_000), 'GET https://origin.test/p9999/items/7?page=2'),
  of('with a window each', own(OWN, WINDOW)),
  of('with a condition each', own(OWN, CONDITION)),
  of('with a limit each', own(OWN, 'limit: { callsPerMinute: 60 }')),
  of('with a class each', own(OWN, 'data: internal, accepts: internal')),
  of('that hold', own(OWN, '', 'hold')),
  of('and 100 denies of the host', [
    ...many(100, (at) => `{ id: no${at}, deny: 'https://${HOST}', paths: ['/x${at}/**'] }`),
    ...own(OWN),
  ]),
]

/** Measures decisions by themselves. @param seconds a case and round */
export function measureDecisions(seconds: number, rounds: number): DecideCost[] {
  const prepared = CASES.map((one) => ({
    ...one,
    policy: policyOf(one.rules),
    question: questionOf(one.call),
    rates: [] as number[],
  }))
  for (const { policy, question } of prepared) rateOf(policy, question, seconds / 2)
  for (let round = 0; round < rounds; round += 1)
    for (const one of round % 2 === 0 ? prepared : prepared.toReversed())
      one.rates.push(rateOf(one.policy, one.question, seconds))
  const base = median(prepared[0]!.rates)
  return prepared.map(({ what, rules, policy, question, rates }) => ({
    what,
    rules: rules.length,
    verdict: decide(policy, question, { now: NOW, read: 'public' }).verdict,
    perSecond: median(rates),
    ratio: median(rates) / base,
  }))
}

/** Measures the share of a call's time, by the records of a sidecar. @param seconds of load */
export async function measureShare(seconds: number): Promise<DecideShare[]> {
  const pki = makePki()
  const leaf = pki.issue({ names: [HOST] })
  const { https } = await startOrigin(
    file('decide-leaf.crt', leaf.certPem),
    file('decide-leaf.key', leaf.keyPem),
  )
  const shares: DecideShare[] = []
  for (const count of [OWN, 1000]) {
    const name = `decide-${count}`
    const rules = [
      `{ id: all, allow: 'https://${HOST}:${https}', methods: [GET], addresses: ['127.0.0.0/8'] }`,
      ...others(count),
    ]
    const { port, ca } = await startSidecar(name, pki.caPem, HOST, rules, https)
    await runLoad({
      way: 'intercepted',
      connections: 1,
      fresh: false,
      seconds,
      host: HOST,
      originPort: https,
      proxyPort: port,
      ca: readFileSync(ca, 'utf8'),
    })
    shares.push({ rules: rules.length, ...readShare(path.join(directory, name)) })
  }
  return shares
}

/** Prints both as tables. */
export function printDecisions(costs: readonly DecideCost[], shares: readonly DecideShare[]): void {
  console.log('| rules | of them | verdict | decisions/s | against the first |')
  console.log('|---|---|---|---|---|')
  for (const { what, rules, verdict, perSecond, ratio } of costs)
    console.log(
      `| ${what} | ${rules} | ${verdict} | ${Math.round(perSecond)} | ${ratio.toFixed(3)} |`,
    )
  console.log('\n| rules | calls | deciding p50 µs | p99 | call p50 µs | p99 | share of the time |')
  console.log('|---|---|---|---|---|---|---|')
  for (const { rules, calls, decideUs, callUs, share } of shares)
    console.log(
      `| ${rules} | ${calls} | ${decideUs.p50} | ${decideUs.p99} | ${callUs.p50.toFixed(0)} | ${callUs.p99.toFixed(0)} | ${(share * 100).toFixed(1)} % |`,
    )
}

/** Prints in one line what of it tells that a decision does not grow with rules for other hosts. */
export function printRates(costs: readonly DecideCost[]): void {
  const shown = costs.filter(({ what }) => what.endsWith('other hosts') || what.endsWith('alone'))
  const parts = shown.map(({ rules, ratio }) => `${rules} rules ${ratio.toFixed(2)}`)
  console.log(
    `decisions: ${Math.round((costs[0]?.perSecond ?? 0) / 1000)} 000 a second by rules of the host alone; ${parts.join(', ')}`,
  )
}

function policyOf(rules: readonly string[]): Policy {
  const text = `ruleset: bench\nrules:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`
  const limits = { ruleFileBytesMax: 2 ** 30, rulesPerSetMax: 1_000_000 }
  const { ruleSet, problems } = parseRuleSet(text, 'bench.yaml', limits)
  if (ruleSet === undefined) throw new Error(JSON.stringify(problems.slice(0, 3)))
  const task = { environment: 'test', depth: 0 }
  const { policy } = compilePolicy({ sets: [ruleSet], always: [], params: {}, task })
  if (policy === undefined) throw new Error('no policy')
  return policy
}

function questionOf(call: string): Question {
  const [method = '', url = ''] = call.split(' ')
  const asked = askAbout(method, url, ['accept', 'application/json'])
  if ('connect' in asked) throw new Error('a tunnel is no call')
  return asked
}

function rateOf(policy: Policy, question: Question, seconds: number): number {
  const moment = { now: NOW, read: 'public' } as const
  const startedAt = performance.now()
  const endsAt = startedAt + seconds * 1000
  let count = 0
  while (performance.now() < endsAt) {
    for (let at = 0; at < BATCH; at += 1) decide(policy, { ...question }, moment)
    count += BATCH
  }
  return (count * 1000) / (performance.now() - startedAt)
}

interface Recorded {
  readonly event: { readonly action: string; readonly duration?: number }
  readonly sallyport: {
    readonly call?: { readonly kind?: string }
    readonly decision?: { readonly us?: number }
  }
}

function readShare(dir: string): Omit<DecideShare, 'rules'> {
  const journal = path.join(dir, 'journal')
  const records = readdirSync(journal)
    .filter((name) => name.endsWith('.ndjson'))
    .toSorted()
    .flatMap((name) => readFileSync(path.join(journal, name), 'utf8').split('\n'))
    .filter((line) => line.includes('"call-ended"'))
    .map((line): Recorded => JSON.parse(line))
    .filter(({ sallyport }) => sallyport.call?.kind === 'intercepted')
  // The first ones are before the program is warm.
  const warm = records.slice(Math.floor(records.length / 4))
  const decided = warm.map(({ sallyport }) => sallyport.decision?.us ?? 0).toSorted(ascending)
  const took = warm.map(({ event }) => (event.duration ?? 0) / 1000).toSorted(ascending)
  const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)
  return {
    calls: warm.length,
    decideUs: { p50: quantile(decided, 0.5), p99: quantile(decided, 0.99) },
    callUs: { p50: quantile(took, 0.5), p99: quantile(took, 0.99) },
    share: sum(decided) / Math.max(1, sum(took)),
  }
}

function ascending(one: number, other: number): number {
  return one - other
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

function median(numbers: readonly number[]): number {
  return quantile(numbers.toSorted(ascending), 0.5)
}
