// Calls that an allow lets pass, made from what is written in it: a `*` becomes a word that nobody would write. With them
// `narrow.ts` shows that a child's rules let something pass that its parent's do not. Pure.

import { EgressError } from '../errors.ts'
import { formatAuthority } from '../wire/authority.ts'
import type { RawHeaders } from '../wire/body.ts'
import type { Question } from './decision.ts'
import { firstAddress, includesHost, lastAddress } from './inclusion.ts'
import type { BoundHost, Entry } from './bound-rule.ts'
import type { BoundPath } from './path-pattern.ts'
import type { Glob } from './template.ts'
import type { BoundValues } from './value-pattern.ts'
import { askAbout } from './written-call.ts'

/** A call and how it is written. */
export interface Witness {
  readonly question: Question
  readonly text: string
}

const WORD = 'w1tness'
const DEEP_WORDS: readonly (readonly string[])[] = [[], [WORD, 'w2tness']]
// Of every kind: what reads, writes and deletes, and what nobody thought of.
const ANY_METHODS = ['GET', 'POST', 'DELETE', 'W1TNESS']
const ANY_PATHS = ['/', `/${WORD}`, `/${WORD}/w2tness`]
// A task is made in one go: what is tried for one allow is bounded.
const WITNESSES_MAX = 512
const WAYS_MAX = 4

/** Hosts that a pattern covers; those of other rules among them, where such rules are asked for. */
export function sampleHosts(host: BoundHost, others: readonly Entry[]): string[] {
  const named = others
    .flatMap((entry) => sampleHost(entry.host))
    .filter((name) => includesHost(host, exactly(name)))
  return [...new Set([...sampleHost(host), ...named])].slice(0, WAYS_MAX * WAYS_MAX)
}

function sampleHost(host: BoundHost): string[] {
  if (host.kind === 'exact') return [host.host]
  if (host.kind === 'below') return [`${WORD}.${host.suffix}`]
  if (host.kind === 'any') return [`${WORD}.example`]
  return [firstAddress(host.cidr), lastAddress(host.cidr)]
}

function exactly(host: string): BoundHost {
  return { kind: 'exact', host, isAddress: kindOf(host) !== 'name' }
}

function kindOf(host: string): 'name' | 'ipv4' | 'ipv6' {
  if (host.includes(':')) return 'ipv6'
  return /^[\d.]+$/.test(host) ? 'ipv4' : 'name'
}

/** Writes host and port as a URL has them. */
export function authorityOf(host: string, port: number): string {
  return formatAuthority({ host, kind: kindOf(host), port })
}

/**
 * Makes calls that match an allow.
 * @param others rules whose hosts, methods, paths and values are tried too where the allow covers them
 */
export function makeWitnesses(
  entry: Entry,
  others: readonly Entry[],
  isOf: (question: Question) => boolean,
): Witness[] {
  const { rule, scheme = 'https', port = 0, paths } = entry
  const rules = others.map((each) => each.rule)
  const methods = rule.methods ?? unique([ANY_METHODS, ...rules.map((each) => each.methods ?? [])])
  const patterns = [...(paths ?? []), ...others.flatMap((each) => each.paths ?? [])]
  const written = unique([paths ? [] : ANY_PATHS, ...patterns.map(writePath)])
  const queries = rule.query
    ? writeQueries(rule.query)
    : unique([[''], ...rules.map((each) => writeQueries(each.query))])
  const fields = rule.headers
    ? writeHeaders(rule.headers)
    : [[], ...rules.flatMap((each) => writeHeaders(each.headers))]
  // An upgrade is a call of its own kind.
  const schemes = scheme === 'wss' ? ['wss', 'https'] : scheme === 'ws' ? ['ws', 'http'] : [scheme]
  const hosts = sampleHosts(entry.host, others)
  return hosts.flatMap((host) => {
    const at = authorityOf(host, port)
    const urls = written
      .flatMap((path) =>
        queries.flatMap((query) => schemes.map((each) => `${each}://${at}${path}${query}`)),
      )
      .slice(0, WITNESSES_MAX)
    return matching(isOf, urls, fields, methods, WITNESSES_MAX / hosts.length)
  })
}

function matching(
  isOf: (question: Question) => boolean,
  urls: readonly string[],
  fields: readonly RawHeaders[],
  methods: readonly string[],
  max: number,
): Witness[] {
  const witnesses: Witness[] = []
  for (const url of urls)
    for (const headers of fields)
      for (const method of methods) {
        if (witnesses.length >= max) return witnesses
        const witness = makeWitness(method, url, headers)
        if (witness && isOf(witness.question)) witnesses.push(witness)
      }
  return witnesses
}

function unique(lists: readonly (readonly string[])[]): string[] {
  return [...new Set(lists.flat())]
}

// A pattern with odd characters may have no call of its own: then there is nothing to show.
function makeWitness(method: string, url: string, headers: RawHeaders): Witness | undefined {
  try {
    const question = askAbout(method, url, headers)
    return 'connect' in question ? undefined : { question, text: `${method} ${url}` }
  } catch (error) {
    if (error instanceof EgressError) return undefined
    throw error
  }
}

function writePath({ segments }: BoundPath): string[] {
  return DEEP_WORDS.map((words) => {
    const written = segments.flatMap((segment) => (segment === undefined ? words : [fill(segment)]))
    return `/${written.map((segment) => encodeURIComponent(segment)).join('/')}`
  })
}

function fill(glob: Glob): string {
  return typeof glob === 'string' ? glob : glob.join(WORD)
}

function writeQueries(patterns: readonly BoundValues[] | undefined): string[] {
  if (patterns === undefined) return []
  return ways(patterns).map(
    (chosen) =>
      `?${chosen.map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join('&')}`,
  )
}

function writeHeaders(patterns: readonly BoundValues[] | undefined): string[][] {
  return patterns === undefined ? [] : ways(patterns).map((chosen) => chosen.flat())
}

// Each key with its first value, each with its second, and so on: so that every value is tried.
function ways(patterns: readonly BoundValues[]): [key: string, value: string][][] {
  const count = Math.min(WAYS_MAX, Math.max(...patterns.map(({ globs }) => globs.length)))
  return Array.from({ length: count }, (_, at) =>
    patterns.map(({ key, globs }) => [key, fill(globs[Math.min(at, globs.length - 1)] ?? '')]),
  )
}
