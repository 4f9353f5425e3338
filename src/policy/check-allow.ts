// What is worth a second look in one allow: how wide it is, and what it does not do although it seems to. Pure; called by
// `check.ts`, which looks at several rules together.

import { breadthOf, isAnywhere, isTiedToTask, WIDE_FROM } from './breadth.ts'
import { reviewInside } from './check-inside.ts'
import { isAbove } from './facts.ts'
import type { Finding } from './problem.ts'
import { isInspected } from './destination.ts'
import { pathsOf } from './overlap.ts'
import { bindPath, matchPath, type PathPattern } from './path-pattern.ts'
import type { Destination, Rule } from './rule-set.ts'

const WIDE_CODES: ReadonlySet<string> = new Set(['any-host', 'wide-wildcard'])

/** Looks an allow over. */
export function reviewAllow(rule: Rule): Finding[] {
  const wide = rule.destinations.flatMap((destination) => reviewDestination(rule, destination))
  return [
    ...reviewAnything(rule),
    ...wide,
    ...(wide.some(({ code }) => WIDE_CODES.has(code)) ? [] : reviewBreadth(rule)),
    ...reviewMethods(rule),
    ...reviewTrailingSlashes(rule),
    ...reviewCondition(rule),
    ...reviewInside(rule),
    ...reviewObserve(rule),
    ...reviewFlow(rule),
  ]
}

// Who has the set would be all that is asked. A rule that only watches is where a list begins, and is loud by itself.
function reviewAnything(rule: Rule): Finding[] {
  if (rule.observe || rule.verdict === 'hold' || isTiedToTask(rule)) return []
  const anywhere = rule.destinations.find((destination) => isAnywhere(rule, destination))
  if (anywhere === undefined) return []
  return [
    {
      severity: 'error',
      message: `\`${anywhere.text}\` allows anything anywhere to whoever is given the set: no destination and no task is asked for`,
      hint: 'name hosts, methods or paths, or tie it to a task by `environment:`, a {param} or `when:`',
      code: 'allows-anything',
    },
  ]
}

// Where nothing says more exactly what is wide.
function reviewBreadth(rule: Rule): Finding[] {
  const { score, parts } = breadthOf(rule)
  if (score < WIDE_FROM) return []
  const because = parts.map(({ what, points }) => `${what} ${points}`).join(', ')
  return [
    {
      severity: 'warning',
      message: `is ${score} wide of 100: ${because}`,
      hint: 'narrow what has most points, or say which task it is for',
      code: 'wide-rule',
    },
  ]
}

function reviewDestination(rule: Rule, destination: Destination): Finding[] {
  const findings: Finding[] = []
  const { host, scheme, text } = destination
  if (host.kind === 'any')
    findings.push({
      severity: 'warning',
      message: `\`${text}\` is every host there is`,
      hint: 'name the hosts that the task needs',
      code: 'any-host',
    })
  if (host.kind === 'below' && !rule.methods && !pathsOf({ rule, destination }))
    findings.push({
      severity: 'warning',
      message: `\`${text}\` is every host below ${host.suffix}, with nothing that narrows it`,
      hint: 'name the hosts, or add `methods:` or `paths:`',
      code: 'wide-wildcard',
    })
  if (host.kind === 'any' || host.kind === 'below')
    findings.push({
      severity: 'warning',
      message: `names that \`${text}\` covers are resolved upstream as a call asks for them, and each can carry data out: \`limits.newNamesPerMinute\` bounds how many new ones`,
      hint: 'name the hosts: names that rules write out do not count, and carry nothing',
      code: 'resolves-names',
    })
  if (scheme === 'http' || scheme === 'ws')
    findings.push({
      severity: 'warning',
      message: `\`${text}\` is sent in the clear: whoever is on the way reads and changes it`,
      hint: `write ${scheme === 'http' ? 'https' : 'wss'}:// where the host serves it`,
      code: 'plain-http',
    })
  return findings
}

function reviewMethods({ methods, destinations }: Rule): Finding[] {
  const isSeen = destinations.some(({ scheme }) => isInspected(scheme ?? 'https'))
  if (methods || !isSeen) return []
  return [
    {
      severity: 'warning',
      message: 'allows any method, those that write and delete too',
      hint: 'add `methods:`, such as [GET, HEAD]',
      code: 'any-method',
    },
  ]
}

// Of an opaque tunnel it is always an error: an allow matches none, a hold denies each.
function reviewCondition({ when, destinations }: Rule): Finding[] {
  const opaque = destinations.find(({ scheme }) => scheme === 'tls' || scheme === 'tcp')
  if (when?.readsCall !== true || opaque === undefined) return []
  return [
    {
      severity: 'warning',
      message: `no tunnel to \`${opaque.text}\` passes by it: its condition reads what nobody sees of one`,
      hint: 'of a tunnel there are task, call.host, call.port, destination and now',
      code: 'opaque-condition',
    },
  ]
}

// `/a/` is read as `/a` too, and an allow holds for all readings or not at all.
function reviewTrailingSlashes(rule: Rule): Finding[] {
  return rule.destinations.slice(0, 1).flatMap((destination) => {
    const shorthand = rule.destinations.map(({ path }) => path).filter((path) => path !== undefined)
    const paths = shorthand.length > 0 ? shorthand : (pathsOf({ rule, destination }) ?? [])
    return paths
      .filter((path) => isTrailing(path) && !paths.some((each) => matchesWithoutSlash(each, path)))
      .map((path) => ({
        severity: 'warning' as const,
        message: `\`${path.text}\` alone matches no call: a path is also read without its trailing slash`,
        hint: `add \`${path.text.slice(0, -1)}\``,
        code: 'trailing-slash',
      }))
  })
}

function isTrailing({ segments }: PathPattern): boolean {
  const last = segments.at(-1)
  return segments.length > 1 && last !== 'deep' && last?.length === 0
}

function matchesWithoutSlash(pattern: PathPattern, { segments }: PathPattern): boolean {
  const sample = segments
    .slice(0, -1)
    .map((segment) =>
      segment === 'deep'
        ? 'x'
        : segment.map((part) => (part.kind === 'text' ? part.text : 'x')).join(''),
    )
  const values = Object.fromEntries(
    pattern.segments
      .filter((segment) => segment !== 'deep')
      .flat()
      .filter((part) => part.kind === 'param')
      .map(({ name }) => [name, 'x']),
  )
  return matchPath(bindPath(pattern, values), sample)
}

// What is read once is in the way of reading it again.
function reviewFlow({ data = 'public', accepts = 'public' }: Rule): Finding[] {
  if (!isAbove(data, accepts)) return []
  return [
    {
      severity: 'warning',
      message: `answers with ${data} data and accepts ${accepts}: once it was read, the next call by the same rule is refused`,
      hint: `add \`accepts: ${data}\` where it may be sent back there`,
      code: 'reads-once',
    },
  ]
}

/** Says loudly that a rule only watches. */
export function reviewObserve({ observe, verdict }: Rule): Finding[] {
  if (!observe) return []
  return [
    {
      severity: 'warning',
      message:
        verdict === 'allow'
          ? 'lets pass what no rule allows, and only records it'
          : 'denies nothing, and only records what it would deny',
      hint: 'take `observe: true` out once you have seen enough',
      code: 'observe',
    },
  ]
}
