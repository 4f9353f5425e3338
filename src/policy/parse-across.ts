// Checks of a rule file that look at several keys together. They work on what was written, not on what was read, so that
// they find what they can also where something else is wrong. Pure; called by `parse.ts`.

import { KEYS_BY_KIND } from './inside-grammar.ts'
import type { GroupScope } from './groups.ts'
import type { Report } from './issues.ts'
import type { Verdict } from './rule-set.ts'
import { suggestName } from './suggest.ts'
import { PARAM_NAME } from './template.ts'
import { EXPECT_PATTERN } from './written-call.ts'
import { isMapping, valueAt, type KeyPath, type RawMapping } from './yaml-text.ts'

// prettier-ignore
const KEYS_OF_INSPECTED_CALLS = [
  'methods', 'paths', 'query', 'headers', 'credential', 'static', 'clientAuth', 'placeholderInBody',
  'record',
  ...Object.values(KEYS_BY_KIND).flat(),
]
// prettier-ignore
const KEYS_WITH_PARAMS = [
  'allow', 'deny', 'hold', 'paths', 'query', 'headers', 'tools', 'resources', 'prompts', 'models', 'serverTools', 'git',
]

/** Finds keys of one rule that do not go together. */
export function checkKeysTogether(
  rule: RawMapping,
  verdict: Verdict,
  verdictKey: string | undefined,
  base: KeyPath,
  groups: GroupScope,
  report: Report,
): void {
  const destinations = verdictKey === undefined ? [] : asList(rule[verdictKey])
  const opaque = destinations
    .flatMap((each) => schemesOf(each, groups))
    .find((scheme) => scheme === 'tls' || scheme === 'tcp')
  if (verdict !== 'deny' && opaque !== undefined)
    for (const key of KEYS_OF_INSPECTED_CALLS.filter((each) => each in rule))
      report.add(
        [...base, key],
        'key',
        'opaque-key',
        `\`${key}\` has no meaning for ${opaque}://, which is not inspected`,
        'take it out, or make it two rules',
      )
  const limit = rule['limit']
  if (verdict !== 'deny' && opaque !== undefined && isMapping(limit))
    for (const key of ['bodyBytes', 'perTool'].filter((each) => each in limit))
      report.add(
        [...base, 'limit', key],
        'key',
        'opaque-key',
        `\`${key}\` has no meaning for ${opaque}://, which is not inspected`,
      )
  checkKinds(rule, base, report)
  checkPerTool(rule, base, report)
  const hasShorthand = destinations.some(
    (each) => typeof each === 'string' && /^[a-z]+:\/\/[^/]+\/./.test(each),
  )
  if (hasShorthand && 'paths' in rule)
    report.add(
      [...base, 'paths'],
      'key',
      'paths-twice',
      'a destination of this rule has a path already',
      'write all of them under `paths:`',
    )
  const guarded = rule['observe'] === true ? whyGuarded(rule) : undefined
  if (guarded !== undefined)
    report.add(
      [...base, 'observe'],
      'key',
      'observe-guarded',
      `\`observe\` is refused for ${guarded} data`,
    )
}

// Which tool a call is of is known only where the rule looks at it.
function checkPerTool(rule: RawMapping, base: KeyPath, report: Report): void {
  const { limit } = rule
  if (!isMapping(limit) || limit['perTool'] !== true || 'tools' in rule) return
  report.add(
    [...base, 'limit', 'perTool'],
    'key',
    'per-tool-unseen',
    '`perTool` counts tools, and this rule looks at none',
    'name them with `tools:`',
  )
}

function whyGuarded(rule: RawMapping): string | undefined {
  const data = String(rule['data'])
  if (['confidential', 'restricted'].includes(data)) return data
  return 'regulation' in rule ? 'regulated' : undefined
}

// Bytes are read as one kind, so that a rule with keys of two would match nothing.
function checkKinds(rule: RawMapping, base: KeyPath, report: Report): void {
  const kinds = Object.entries(KEYS_BY_KIND)
    .map(([kind, keys]) => ({ kind, key: keys.find((each) => each in rule) }))
    .filter(({ key }) => key !== undefined)
  const [first, other] = kinds
  if (first && other)
    report.add(
      [...base, String(other.key)],
      'key',
      'mixed-inspection',
      `\`${String(other.key)}\` is for ${other.kind}, and \`${String(first.key)}\` of this rule for ${first.kind}`,
      'make it two rules',
    )
  if ('pin' in rule && !('tools' in rule))
    report.add(
      [...base, 'pin'],
      'key',
      'pin-without-tools',
      'pins the definitions of tools, and no tool is allowed',
      'write `tools:` beside it',
    )
}

/** Finds parameters that are used and not declared. */
export function checkParamsKnown(
  file: RawMapping,
  rules: readonly unknown[],
  report: Report,
): void {
  const params = file['params']
  const known = isMapping(params) ? Object.keys(params) : []
  const look = (value: unknown, path: KeyPath): void => {
    if (typeof value === 'string') {
      for (const [, name = ''] of value.matchAll(/\{([^{}]*)\}/g)) {
        if (known.includes(name) || !PARAM_NAME.test(name)) continue
        const near = suggestName(name, known)
        const hint = near === undefined ? 'declare it under `params:`' : `did you mean \`${near}\`?`
        report.add(path, 'value', 'unknown-param', `\`${name}\` is no parameter of this set`, hint)
      }
    } else if (typeof value === 'object' && value !== null)
      for (const [key, below] of Object.entries(value))
        look(below, [...path, Array.isArray(value) ? Number(key) : key])
  }
  for (const [at, rule] of rules.entries())
    if (isMapping(rule))
      for (const [key, value] of Object.entries(rule))
        if (KEYS_WITH_PARAMS.includes(key)) look(value, ['rules', at, key])
}

/** Finds tests that name rules which are not there. */
export function checkTestRules(
  rules: readonly unknown[],
  tests: readonly unknown[],
  report: Report,
): void {
  const ids = rules.map((rule) => String(valueAt(rule, ['id'])))
  for (const [at, test] of tests.entries()) {
    const expected = valueAt(test, ['expect'])
    const match = typeof expected === 'string' ? EXPECT_PATTERN.exec(expected) : null
    const id = match?.[2] ?? ''
    if (match === null || match[1] === 'deny' || ids.includes(id)) continue
    const near = suggestName(id, ids)
    const hint = near === undefined ? undefined : `did you mean \`${near}\`?`
    report.add(
      ['tests', at, 'expect'],
      'value',
      'unknown-rule',
      `no rule has the id \`${id}\``,
      hint,
    )
  }
}

/** Finds tests that say several things of what is inside their call, or something of what nobody looks into. */
export function checkTested(tests: readonly unknown[], report: Report): void {
  for (const [at, test] of tests.entries()) {
    if (!isMapping(test)) continue
    const [first, ...more] = ['tool', 'resource', 'prompt', 'body'].filter((key) => key in test)
    const extra = more[0] ?? ('args' in test && first !== 'tool' ? 'args' : undefined)
    if (extra !== undefined)
      report.add(
        ['tests', at, extra],
        'key',
        'several-contents',
        extra === 'args' ? '`args` are those of a `tool`' : 'a test is about one message',
        extra === 'args' ? 'write `tool:` beside it' : 'make it two tests',
      )
    else if (first !== undefined && /^(?:CONNECT |\S+ wss?:)/.test(String(test['call'])))
      report.add(
        ['tests', at, first],
        'key',
        'nothing-inside',
        'nobody looks into a tunnel or a WebSocket by this call',
        'take it out',
      )
  }
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value]
}

function schemesOf(destination: unknown, groups: GroupScope): readonly unknown[] {
  if (typeof destination === 'string') return [/^([a-z]+):\/\//.exec(destination)?.[1]]
  const group = valueAt(destination, ['group'])
  if (typeof group !== 'string') return [valueAt(destination, ['scheme'])]
  return groups.find(group)?.map(({ scheme }) => scheme) ?? []
}
