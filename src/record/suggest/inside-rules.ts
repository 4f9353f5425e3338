// Suggested rules that look inside calls: names of tools, models, fields, repositories exactly as they were seen. A rule without
// such keys at the same place would take back what they limit, so plain calls there are part of them. Pure. Called by `rules.ts`.

import type { Collected } from './collect.ts'
import {
  compare,
  countsOf,
  groupBy,
  testOf,
  TESTS_MAX,
  type Draft,
  type SuggestedKeys,
  type SuggestedTest,
} from './draft.ts'
import type { WantedInside } from './wanted.ts'

type Kind = WantedInside['kind']

/** A call with what is inside it. */
interface Seen<Of extends Kind> {
  readonly of: Collected
  readonly method: string
  readonly path: string
  readonly patterns: readonly string[]
  readonly inside: Extract<WantedInside, { kind: Of }>
}

const GIT_PATH = /\/(?:info\/refs|git-(?:upload|receive)-pack)$/
// A client of git needs both, whichever it was refused first.
const GIT_METHODS = ['GET', 'POST'] as const

/** Tells the plain calls to where others are looked into. */
export function isSiteOfInside(inside: readonly Collected[]): (one: Collected) => boolean {
  const sites = new Set(inside.map(siteOf))
  return (one) => one.wanted.call?.inside === undefined && sites.has(siteOf(one))
}

function siteOf({ wanted: { origin, call } }: Collected): string {
  const path = call?.path ?? ''
  return GIT_PATH.test(path) ? `${origin} git` : `${origin} ${path}`
}

/**
 * Makes the rules.
 * @param inside calls with what is inside them
 * @param absorbed plain calls to the same places
 */
export function insideRules(inside: readonly Collected[], absorbed: readonly Collected[]): Draft[] {
  const plain = groupBy(absorbed, siteOf)
  return [
    ...perSite('mcp', inside, plain, mcpKeys),
    ...perSite('model', inside, plain, modelKeys),
    ...perSite('graphql', inside, plain, graphqlKeys, ({ operation }) => operation),
    ...gitRules(seenOf('git', inside)),
  ]
}

function seenOf<Of extends Kind>(kind: Of, inside: readonly Collected[]): Seen<Of>[] {
  return inside.flatMap((of) => {
    const { call } = of.wanted
    if (call?.inside === undefined || !isOf(kind, call.inside)) return []
    const { method, path, patterns } = call
    return [{ of, method, path, patterns, inside: call.inside }]
  })
}

function isOf<Of extends Kind>(
  kind: Of,
  inside: WantedInside,
): inside is Extract<WantedInside, { kind: Of }> {
  return inside.kind === kind
}

function perSite<Of extends Kind>(
  kind: Of,
  inside: readonly Collected[],
  plain: ReadonlyMap<string, readonly Collected[]>,
  keysOf: (seen: readonly Seen<Of>[]) => SuggestedKeys,
  apart: (inside: Seen<Of>['inside']) => string = () => '',
): Draft[] {
  const sites = groupBy(
    seenOf(kind, inside),
    ({ of, inside: what }) => `${siteOf(of)} ${apart(what)}`,
  )
  return [...sites.values()].map((seen) => {
    const [first] = seen
    const more = first === undefined ? [] : (plain.get(siteOf(first.of)) ?? [])
    const methods = [
      ...seen.map(({ method }) => method),
      ...more.map(({ wanted }) => wanted.call?.method ?? ''),
    ]
    const of = seen.map((each) => each.of)
    return {
      ...countsOf([...of, ...more]),
      allow: [first?.of.wanted.origin ?? ''],
      methods: sorted(methods),
      paths: sorted(seen.flatMap(({ patterns }) => patterns)),
      keys: keysOf(seen),
      notes: [],
      tests: of.slice(0, TESTS_MAX).map(insideTest),
    }
  })
}

function insideTest(one: Collected): SuggestedTest {
  const inside = one.wanted.call?.inside
  if (inside?.kind !== 'mcp') return testOf(one)
  const key = ({ tools: 'tool', resources: 'resource', prompts: 'prompt' } as const)[inside.list]
  return { ...testOf(one), item: { key, name: inside.name } }
}

function mcpKeys(seen: readonly Seen<'mcp'>[]): SuggestedKeys {
  const named = (list: string): string[] =>
    sorted(seen.filter(({ inside }) => inside.list === list).map(({ inside }) => inside.name))
  const [tools, resources, prompts] = [named('tools'), named('resources'), named('prompts')]
  return {
    ...(tools.length > 0 && { tools }),
    ...(resources.length > 0 && { resources }),
    ...(prompts.length > 0 && { prompts }),
  }
}

function modelKeys(seen: readonly Seen<'model'>[]): SuggestedKeys {
  const asked = seen.map(({ inside }) => inside)
  const bounds = asked.filter(({ hasOutput }) => hasOutput).map(({ maxTokens }) => maxTokens)
  const known = bounds.filter((bound): bound is number => bound !== undefined && bound > 0)
  const serverTools = sorted(asked.flatMap((each) => each.serverTools))
  return {
    models: sorted(asked.map(({ model }) => model)),
    ...(bounds.length > 0 && known.length === bounds.length && { maxTokens: Math.max(...known) }),
    serverTools: serverTools.length === 0 ? false : serverTools,
  }
}

function graphqlKeys(seen: readonly Seen<'graphql'>[]): SuggestedKeys {
  const fields = sorted(seen.flatMap(({ inside }) => inside.fields))
  const introspection = seen.some(({ inside }) => inside.introspection)
  return {
    graphql: {
      operations: sorted(seen.map(({ inside }) => inside.operation)),
      // Without any field all would be allowed.
      fields: fields.length === 0 ? ['__schema'] : fields,
      ...(introspection && { introspection }),
    },
  }
}

// What may be pushed is said of one repository at a time: a rule's references are allowed in all its repositories.
function gitRules(seen: readonly Seen<'git'>[]): Draft[] {
  const ofOrigin = groupBy(seen, ({ of, inside: { refs, repo, force } }) =>
    JSON.stringify([of.wanted.origin, refs.length === 0 ? '' : repo, force]),
  )
  return [...ofOrigin.values()].map((same) => {
    const of = same.map((each) => each.of)
    const push = sorted(same.flatMap(({ inside }) => inside.refs))
    const force = same.some((each) => each.inside.force)
    return {
      ...countsOf(of),
      allow: [of[0]?.wanted.origin ?? ''],
      methods: GIT_METHODS,
      keys: {
        git: {
          repos: sorted(same.map(({ inside }) => inside.repo)),
          ...(push.length > 0 && { push }),
          ...(force && { force }),
        },
      },
      notes: force ? ['references may be deleted and commits taken away'] : [],
      tests: of.slice(0, TESTS_MAX).map(testOf),
    }
  })
}

function sorted(texts: readonly string[]): string[] {
  return [...new Set(texts)].toSorted(compare)
}
