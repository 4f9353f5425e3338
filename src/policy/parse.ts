// Reads a rule file: all that is wrong with it at once, each problem with its place and how to mend it. A file with one
// problem is no rule set at all. Pure; called by `config/`, and by the `check` and `test` verbs.

import { createHash } from 'node:crypto'

import { DEFAULT_LIMITS, type Limits } from '../limits.ts'
import { FILE_SCHEMA, KEYS, RULE_SCHEMAS, type FileSection, type RuleSection } from './grammar.ts'
import { GroupScope, joinText, splitText, type Groups } from './groups.ts'
import { makeInside, makeItem } from './inside-grammar.ts'
import { Report, reportIssues } from './issues.ts'
import type { Problem } from './problem.ts'
import { checkKeysTogether, checkParamsKnown, checkTested, checkTestRules } from './parse-across.ts'
import type { Destination, GroupReference, Rule, RuleSet, RuleTest, Verdict } from './rule-set.ts'
import { suggestName } from './suggest.ts'
import type { Alternatives } from './scalars.ts'
import { TEST_SCHEMA, type TestSection } from './test-grammar.ts'
import type { ValuePattern } from './value-pattern.ts'
import {
  isMapping,
  readYamlText,
  type KeyPath,
  type RawMapping,
  type YamlText,
} from './yaml-text.ts'

export type { Problem } from './problem.ts'
export type { RuleSet } from './rule-set.ts'

/**
 * Reads a rule file, or the kept text of a set with the groups of other files behind it.
 * @param file the name that problems and traces give it
 * @param shared the groups of all files
 * @returns no rule set where there is a problem; its text is what its version is the digest of
 */
export function parseRuleSet(
  source: string,
  file: string,
  limits: Pick<Limits, 'ruleFileBytesMax' | 'rulesPerSetMax'> = DEFAULT_LIMITS,
  shared: Groups = new Map(),
): { ruleSet?: RuleSet; text?: string; problems: Problem[] } {
  const whole = (message: string, code: string): { problems: Problem[] } => ({
    problems: [{ file, line: 1, column: 1, severity: 'error', message, code }],
  })
  const { own, behind } = splitText(source)
  if ([own, behind].some((part) => Buffer.byteLength(part) > limits.ruleFileBytesMax))
    return whole(`larger than ${limits.ruleFileBytesMax} bytes`, 'file-too-large')
  const yaml = readYamlText(own, file)
  if (yaml.problems.length > 0) return { problems: [...yaml.problems] }
  if (!isMapping(yaml.value)) return whole('expected a rule set: a mapping', 'wrong-type')
  const report = new Report(yaml, file)
  const groups = new GroupScope(yaml.value, behind, shared)
  const read = readFile(yaml.value, yaml, groups, report, limits.rulesPerSetMax)
  if (report.hasErrors || read === undefined) return { problems: report.sorted() }
  const text = joinText(source, groups.used)
  const version = `sha256:${createHash('sha256').update(text).digest('hex')}`
  return { ruleSet: { ...read, file, version }, text, problems: [] }
}

function readFile(
  raw: RawMapping,
  yaml: YamlText,
  groups: GroupScope,
  report: Report,
  rulesMax: number,
): Omit<RuleSet, 'file' | 'version'> | undefined {
  const parsed = FILE_SCHEMA.safeParse(raw)
  if (!parsed.success)
    reportIssues(parsed.error.issues, { section: 'file', base: [], value: raw }, report)
  const rawRules = listAt(raw, 'rules')
  const rawTests = listAt(raw, 'tests')
  if (rawRules.length > rulesMax)
    report.add(['rules', rulesMax], 'value', 'too-many-rules', `more than ${rulesMax} rules`)
  const rules = rawRules.map((rule, at) => readRule(rule, ['rules', at], yaml, groups, report))
  const tests = rawTests.map((test, at) => readTest(test, ['tests', at], yaml, report))
  checkIds(rawRules, report)
  checkParamsKnown(raw, rawRules, report)
  checkTestRules(rawRules, rawTests, report)
  checkTested(rawTests, report)
  if (!parsed.success) return undefined
  return {
    ...describeFile(parsed.data, yaml),
    rules: rules.filter((rule) => rule !== undefined),
    tests: tests.filter((test) => test !== undefined),
  }
}

function listAt(raw: RawMapping, key: string): readonly unknown[] {
  const value = raw[key]
  return Array.isArray(value) ? value : []
}

function describeFile(
  file: FileSection,
  yaml: YamlText,
): Omit<RuleSet, 'file' | 'version' | 'rules' | 'tests'> {
  return {
    name: file.ruleset,
    description: file.description,
    owner: file.owner,
    for: file.for,
    params: new Map(
      Object.entries(file.params ?? {}).map(([name, { pattern, description }]) => [
        name,
        { pattern, description, place: yaml.place(['params', name], 'key') },
      ]),
    ),
  }
}

function readRule(
  raw: unknown,
  base: KeyPath,
  yaml: YamlText,
  groups: GroupScope,
  report: Report,
): Rule | undefined {
  if (!isMapping(raw)) {
    report.add(base, 'value', 'wrong-type', 'expected a rule: a mapping')
    return undefined
  }
  const { verdict, verdictKey } = findVerdict(raw, base, report)
  checkKeysTogether(raw, verdict, verdictKey, base, groups, report)
  // All verdict keys but the one that counts are reported already.
  const rest = Object.entries(raw).filter(([key]) => key !== verdictKey && !isVerdict(key))
  const asked = { ...Object.fromEntries(rest), ...(verdictKey && { [verdict]: raw[verdictKey] }) }
  const parsed = RULE_SCHEMAS[verdict].safeParse(asked)
  if (parsed.success) {
    const written = parsed.data[verdict] ?? []
    const at = [...base, verdictKey ?? verdict]
    const destinations = resolveGroups(written, at, groups, report)
    return makeRule(parsed.data, verdict, destinations, yaml.place(base, 'value'))
  }
  const issues = parsed.error.issues.filter(
    ({ path }) => verdictKey !== undefined || path[0] !== verdict,
  )
  const applied = { section: verdict, base, value: raw }
  reportIssues(issues, verdictKey === undefined ? applied : { ...applied, verdictKey }, report)
  return undefined
}

/** Chooses the branch of the grammar by the verdict key, before anything of the rule is read. */
function findVerdict(
  raw: RawMapping,
  base: KeyPath,
  report: Report,
): { verdict: Verdict; verdictKey: string | undefined } {
  const written = Object.keys(raw).filter(isVerdict)
  for (const extra of written.slice(1))
    report.add(
      [...base, extra],
      'key',
      'several-verdicts',
      'a rule has one verdict',
      'make it two rules',
    )
  const [first] = written
  if (first !== undefined) return { verdict: first, verdictKey: first }
  const known = [...KEYS.allow, ...KEYS.deny, ...KEYS.hold]
  for (const key of Object.keys(raw)) {
    const near = known.includes(key)
      ? undefined
      : VERDICTS.find((verdict) => verdict === suggestName(key, VERDICTS))
    if (near === undefined) continue
    const hint = `did you mean \`${near}\`?`
    report.add([...base, key], 'key', 'unknown-key', `unknown key \`${key}\``, hint)
    return { verdict: near, verdictKey: key }
  }
  report.add(
    base,
    'value',
    'no-verdict',
    'a rule has a verdict',
    'write `allow:`, `hold:` or `deny:`',
  )
  return { verdict: 'ports' in raw ? 'deny' : 'allow', verdictKey: undefined }
}

const VERDICTS: readonly Verdict[] = ['allow', 'hold', 'deny']

function isVerdict(key: string): key is Verdict {
  return VERDICTS.some((verdict) => verdict === key)
}

function resolveGroups(
  written: readonly (Destination | GroupReference)[],
  base: KeyPath,
  groups: GroupScope,
  report: Report,
): Destination[] {
  return written.flatMap((each, at) => {
    if (!('group' in each)) return [each]
    const found = groups.find(each.group)
    if (found) return [...found]
    const near = suggestName(each.group, groups.names)
    const hint = near ? `did you mean \`${near}\`?` : 'define it under `hosts:` of any rule file'
    // A place that is not there is that of its parent: one that is no list.
    const path = [...base, at, 'group']
    report.add(path, 'value', 'unknown-group', `there is no group \`${each.group}\``, hint)
    return []
  })
}

function makeRule(
  read: RuleSection,
  verdict: Verdict,
  destinations: readonly Destination[],
  place: Rule['place'],
): Rule {
  const { bodyBytes, ...limits } = read.limit ?? {}
  return {
    id: read.id,
    verdict,
    description: read.description,
    owner: read.owner,
    destinations,
    methods: read.methods,
    paths: read.paths,
    query: read.query && Object.entries(read.query).map(([key, each]) => valuePattern(key, each)),
    headers:
      read.headers &&
      Object.entries(read.headers).map(([key, each]) => valuePattern(key.toLowerCase(), each)),
    ports: read.ports,
    environments: read.environment,
    between: read.between,
    when: read.when,
    expiresAt: read.expires,
    ticket: read.ticket,
    addresses: read.addresses ?? [],
    credential: read.credential,
    static: read.static,
    data: read.data,
    regulation: read.regulation && [...new Set(read.regulation)].toSorted(),
    category: read.category && [...new Set(read.category)].toSorted(),
    accepts: read.accepts,
    profile: read.profile,
    bodyBytesMax: bodyBytes,
    limits: Object.keys(limits).length > 0 ? limits : undefined,
    separate: read.separate ?? false,
    reviewers: read.reviewers,
    clientAuth: read.clientAuth,
    placeholderInBody: read.placeholderInBody,
    inside: makeInside(read),
    record: read.record && {
      ...(read.record.prompts && { prompts: read.record.prompts }),
      ...(read.record.tools && { tools: read.record.tools }),
    },
    observe: read.observe ?? false,
    place,
  }
}

function valuePattern(key: string, each: Alternatives): ValuePattern {
  return { key, alternatives: each }
}

function readTest(
  raw: unknown,
  base: KeyPath,
  yaml: YamlText,
  report: Report,
): RuleTest | undefined {
  const parsed = TEST_SCHEMA.safeParse(raw)
  if (parsed.success) return makeTest(parsed.data, yaml.place(base, 'value'))
  reportIssues(parsed.error.issues, { section: 'test', base, value: raw }, report)
  return undefined
}

function makeTest(read: TestSection, place: RuleTest['place']): RuleTest {
  const { call, params = {}, headers = {}, task = {}, at, after, body, expect } = read
  const asking = { task: { ...task, params }, at, read: after?.data ?? 'public' }
  return { call, params, headers, ...asking, item: makeItem(read), body, expect, place }
}

function checkIds(rawRules: readonly unknown[], report: Report): void {
  const seen = new Set<unknown>()
  for (const [at, rule] of rawRules.entries()) {
    const id = isMapping(rule) ? rule['id'] : undefined
    if (typeof id === 'string' && seen.has(id))
      report.add(['rules', at, 'id'], 'value', 'duplicate-id', `\`${id}\` names two rules`)
    seen.add(id)
  }
}
