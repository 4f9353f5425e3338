// Suggested rules as a rule file that `check` and `test` take: whatever strangers chose stands in quotes, comments hold our own
// words alone, and each test expects what the code that decides live traffic says of it. Pure. Called by `cli/suggest.ts`.

import { compilePolicy, type Policy } from '../../policy/compile.ts'
import { explain } from '../../policy/explain.ts'
import { parseRuleSet } from '../../policy/parse.ts'
import type { McpList } from '../../policy/subject.ts'
import { askAbout } from '../../policy/written-call.ts'
import type { NotSuggested } from './collect.ts'
import type { SuggestedKeys, SuggestedRule, SuggestedTest } from './draft.ts'

/** What is written. */
export interface SuggestedSet {
  /** The name of the rule set. */
  readonly name: string
  readonly rules: readonly SuggestedRule[]
  readonly notSuggested: readonly NotSuggested[]
}

const LISTS: Readonly<Record<string, McpList>> = {
  tool: 'tools',
  resource: 'resources',
  prompt: 'prompts',
}

/** Writes a rule file. */
export function writeRuleSet(set: SuggestedSet): string {
  const head = headText(set)
  const rules = `rules:${set.rules.length === 0 ? ' []' : ''}\n${set.rules.map(ruleText).join('')}`
  const policy = policyOf(`${head}${rules}`)
  const tests =
    policy === undefined
      ? []
      : set.rules.flatMap((rule) => rule.tests.flatMap((test) => testText(test, policy)))
  return `${head}${rules}${tests.length === 0 ? '' : `tests:\n${tests.join('')}`}`
}

function headText({ name, rules, notSuggested }: SuggestedSet): string {
  const sum = (of: 'observed' | 'denied'): number => rules.reduce((all, rule) => all + rule[of], 0)
  const lines = [
    '# yaml-language-server: $schema=../schema/rules.schema.json',
    `# Suggested for what no rule allowed: ${sum('observed')} observed, ${sum('denied')} denied. Look at every line before it is in force:`,
    '# who asked for it was the sandbox.',
    ...notSuggested.map(({ why, count }) => `# not suggested: ${count} x ${why}`),
    `ruleset: ${name}`,
  ]
  return `${lines.join('\n')}\n`
}

function ruleText(rule: SuggestedRule): string {
  const { id, allow, methods, paths, keys, credential, observed, denied, notes } = rule
  const [first = ''] = allow
  const lines = [
    `  # ${observed} observed, ${denied} denied`,
    ...notes.map((note) => `  # ${note}`),
    `  - id: ${quote(id)}`,
    ...(allow.length === 1 ? [`    allow: ${quote(first)}`] : listLines('allow', allow)),
    ...(methods === undefined ? [] : [`    methods: [${methods.map(quote).join(', ')}]`]),
    ...(paths === undefined ? [] : listLines('paths', paths)),
    ...(keys === undefined ? [] : keyLines(keys)),
    ...(credential === undefined ? [] : [`    credential: ${quote(credential)}`]),
  ]
  return `${lines.join('\n')}\n`
}

function listLines(key: string, texts: readonly string[]): string[] {
  return [`    ${key}:`, ...texts.map((text) => `      - ${quote(text)}`)]
}

function keyLines(keys: SuggestedKeys): string[] {
  const { graphql, git, maxTokens, serverTools } = keys
  const flow = (texts: readonly string[]): string => `[${texts.map(quote).join(', ')}]`
  const lists = (['tools', 'resources', 'prompts', 'models'] as const).flatMap((key) =>
    keys[key] === undefined ? [] : listLines(key, keys[key]),
  )
  return [
    ...lists,
    ...(maxTokens === undefined ? [] : [`    maxTokens: ${maxTokens}`]),
    ...(serverTools === undefined
      ? []
      : [`    serverTools: ${serverTools === false ? 'false' : flow(serverTools)}`]),
    ...(graphql === undefined
      ? []
      : [
          '    graphql:',
          `      operations: ${flow(graphql.operations)}`,
          `      fields: ${flow(graphql.fields)}`,
          ...(graphql.introspection === true ? ['      introspection: true'] : []),
        ]),
    ...(git === undefined
      ? []
      : [
          '    git:',
          `      repos: ${flow(git.repos)}`,
          ...(git.push === undefined ? [] : [`      push: ${flow(git.push)}`]),
          ...(git.force === true ? ['      force: true'] : []),
        ]),
  ]
}

function policyOf(text: string): Policy | undefined {
  const { ruleSet, problems } = parseRuleSet(text, 'suggested.yaml')
  if (ruleSet === undefined)
    throw new Error(
      `a suggestion is no rule set: ${problems.map(({ message }) => message).join('; ')}`,
    )
  return compilePolicy({ sets: [ruleSet], always: [], params: {}, task: {} }).policy
}

function testText({ call, item }: SuggestedTest, policy: Policy): string[] {
  const [method = '', target = ''] = call.split(' ', 2)
  const asked = askAbout(method, target, [])
  const list = item && LISTS[item.key]
  const content =
    item !== undefined && list !== undefined && !('connect' in asked)
      ? { content: { mcp: { kind: 'item', method: '', list, name: item.name } as const } }
      : {}
  const { decision } = explain(policy, { ...asked, ...content }, { now: 0, read: 'public' })
  if (decision.verdict !== 'allow' || decision.rule === undefined) return []
  const named = item === undefined ? '' : `    ${item.key}: ${quote(item.name)}\n`
  return [`  - call: ${quote(call)}\n${named}    expect: ${quote(`allow ${decision.rule.id}`)}\n`]
}

const PRINTABLE = /^[\x20-\x26\x28-\x7e]*$/

/** A text that YAML reads back as it is, whoever chose it. */
export function quote(text: string): string {
  if (PRINTABLE.test(text)) return `'${text}'`
  let quoted = ''
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (character === '"' || character === '\\') quoted += `\\${character}`
    else if (code >= 0x20 && code < 0x7f) quoted += character
    else quoted += `\\U${code.toString(16).padStart(8, '0')}`
  }
  return `"${quoted}"`
}
