// What is worth a second look in rules that look inside calls, and in those that ought to: how much they leave open, and
// which other rules let pass what they mean to limit. Pure; called by `check.ts`.

import { isInspected } from './destination.ts'
import { inspectorOf } from './inside.ts'
import { callsOverlap, environmentsOverlap, hostsOverlap, pathsOf } from './overlap.ts'
import type { PathPattern } from './path-pattern.ts'
import type { Finding } from './problem.ts'
import type { Destination, Rule } from './rule-set.ts'
import type { Inspector } from './subject.ts'

/** A rule for one of its destinations. */
interface Aimed {
  readonly rule: Rule
  readonly destination: Destination
}

const MCP_METHODS = ['POST', 'GET', 'DELETE']
const MCP_SEGMENTS = ['mcp', 'sse']
const KEYS_OF: Readonly<Record<Exclude<Inspector, 'body'>, string>> = {
  mcp: '`tools:`, `resources:` or `prompts:`',
  model: '`models:`',
  graphql: '`graphql:`',
  git: '`git:`',
}

/** Looks at what an allow says, or does not say, of what is inside its calls. */
export function reviewInside(rule: Rule): Finding[] {
  const { mcp, model } = rule.inside ?? {}
  const findings: Finding[] = []
  const warn = (code: string, message: string, hint: string): void =>
    void findings.push({ severity: 'warning', message, hint, code })
  if (mcp?.tools?.some((parts) => parts.every(({ kind }) => kind === 'star')))
    warn('any-tool', 'allows every tool, those that come later too', 'name the tools')
  const odd = mcp && rule.methods?.find((method) => !MCP_METHODS.includes(method))
  if (odd !== undefined)
    warn('mcp-method', `no MCP client sends ${odd}`, 'write methods: [POST, GET, DELETE], or fewer')
  if (model && model.serverTools === undefined)
    warn(
      'server-tools-open',
      'lets the provider fetch, search and run code by itself: another way out',
      'add `serverTools: false`, or list those that are meant',
    )
  const { text } = rule.destinations.find((destination) => looksLikeMcp(rule, destination)) ?? {}
  if (text !== undefined && rule.inside === undefined && takesPosts(rule))
    warn(
      'mcp-unlimited',
      `\`${text}\` looks like an MCP server: the rule allows every tool`,
      `add ${KEYS_OF.mcp}`,
    )
  return findings
}

function takesPosts({ methods }: Rule): boolean {
  return methods?.includes('POST') ?? true
}

function looksLikeMcp(rule: Rule, destination: Destination): boolean {
  const { host, scheme } = destination
  if (!isInspected(scheme ?? 'https')) return false
  const name = host.kind === 'exact' ? host.host : host.kind === 'below' ? host.suffix : ''
  return name.startsWith('mcp.') || (pathsOf({ rule, destination })?.some(endsLikeMcp) ?? false)
}

// `/v1/messages` is a model API's, `/sse/messages` the older MCP transport's.
function endsLikeMcp({ segments }: PathPattern): boolean {
  const names = segments.map((segment) => {
    const [part, more] = segment === 'deep' ? [] : segment
    return part?.kind === 'text' && more === undefined ? part.text.toLowerCase() : ''
  })
  const last = names.at(-1) ?? ''
  return (
    MCP_SEGMENTS.includes(last) ||
    (last === 'messages' && names.some((each) => MCP_SEGMENTS.includes(each)))
  )
}

/** Says that a rule which looks at nothing lets pass what others mean to limit; of all that are in force together. */
export function reviewUnlimited(one: Aimed, limited: readonly Aimed[]): Finding[] {
  if (one.rule.inside !== undefined || one.rule.observe) return []
  const other = limited.find((each) => meetsInside(one, each))
  const kind = other?.rule.inside && inspectorOf(other.rule.inside)
  if (!other || kind === undefined) return []
  const { id } = other.rule
  return [
    {
      severity: 'warning',
      message:
        kind === 'mcp'
          ? `allows every tool where rule \`${id}\` allows some`
          : `allows everything where rule \`${id}\` looks inside and allows some`,
      hint: `add ${KEYS_OF[kind]}, or keep the rules apart by path or method`,
      code: kind === 'mcp' ? 'mcp-unlimited' : 'unlimited-overlap',
    },
  ]
}

/** Finds tools whose definition one rule pins and another rule for the same calls pins otherwise. */
export function reviewPins(one: Aimed, others: readonly Aimed[]): Finding[] {
  const pins = one.rule.inside?.mcp?.pins ?? new Map<string, string>()
  return others.flatMap((other) => {
    const name = [...(other.rule.inside?.mcp?.pins ?? [])].find(
      ([tool, digest]) => pins.has(tool) && pins.get(tool) !== digest,
    )?.[0]
    if (name === undefined || !mayMeet(one, other)) return []
    return {
      severity: 'error' as const,
      message: `pins \`${name}\` to another definition than rule \`${other.rule.id}\``,
      hint: 'a tool has one definition: take one of them out',
      code: 'pin-conflict',
    }
  })
}

function meetsInside(one: Aimed, other: Aimed): boolean {
  const { mcp, model } = other.rule.inside ?? {}
  // Messages and questions are posted.
  return mayMeet(one, other) && (takesPosts(one.rule) || (mcp ?? model) === undefined)
}

function mayMeet(one: Aimed, other: Aimed): boolean {
  return (
    one.destination.port === other.destination.port &&
    isSecure(one.destination) === isSecure(other.destination) &&
    environmentsOverlap(one.rule, other.rule) &&
    hostsOverlap(one.destination.host, other.destination.host) &&
    callsOverlap(one, other)
  )
}

function isSecure({ scheme }: Destination): boolean {
  return scheme === 'https' || scheme === 'wss'
}
