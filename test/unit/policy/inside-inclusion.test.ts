// Of two rules that look inside calls: what is shown to be included is.

import {
  array,
  assert,
  boolean,
  constant,
  constantFrom,
  oneof,
  option,
  property,
  record,
  subarray,
  type Arbitrary,
} from 'fast-check'
import t from 'tap'

import { includesInside } from '../../../src/policy/inside-inclusion.ts'
import { bindInside, type BoundInside, type Inside } from '../../../src/policy/inside.ts'
import { findMismatch } from '../../../src/policy/inside-match.ts'
import type { Content, GitCommand } from '../../../src/policy/subject.ts'
import { parseTemplate } from '../../../src/policy/template.ts'

const name = array(constantFrom('a', 'b', '/', '..'), { maxLength: 4 }).map((each) => each.join(''))
const pattern = array(constantFrom('a', 'b', '/', '..', '*'), { minLength: 1, maxLength: 4 })
  .map((each) => parseTemplate(each.join('').replaceAll(/\*+/g, '*')))
  .filter((each) => typeof each !== 'string')
const patterns = array(pattern, { minLength: 1, maxLength: 2 })
const field = array(constantFrom('a', 'b'), { minLength: 1, maxLength: 3 })
const fieldPattern = array(constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 3 })
const types = ['query', 'mutation'] as const

const KINDS: readonly { readonly keys: Arbitrary<Inside>; readonly read: Arbitrary<Content> }[] = [
  {
    keys: record(
      { tools: patterns, resources: patterns, prompts: patterns },
      { requiredKeys: [] },
    ).map((mcp) => ({ mcp })),
    read: record({
      kind: constantFrom('item', 'item', 'item', 'session', 'other'),
      method: constant(''),
      list: constantFrom('tools', 'resources', 'prompts'),
      name,
    }).map((mcp) => ({ mcp })),
  },
  {
    keys: record(
      {
        models: patterns,
        maxTokens: constantFrom(5, 6),
        serverTools: oneof(boolean(), patterns),
      },
      { requiredKeys: [] },
    ).map((model) => ({ model })),
    read: record({
      operation: constant('chat'),
      model: option(name, { nil: undefined }),
      hasOutput: boolean(),
      maxTokens: constantFrom(undefined, 5, 6, 7),
      serverTools: array(name, { maxLength: 2 }),
    }).map((model) => ({ model })),
  },
  {
    keys: record(
      {
        operations: subarray([...types], { minLength: 1 }),
        fields: array(fieldPattern, { minLength: 1, maxLength: 2 }),
        introspection: boolean(),
      },
      { requiredKeys: ['introspection'] },
    ).map((graphql) => ({ graphql })),
    read: record({
      type: constantFrom(...types),
      fields: array(field, { minLength: 1, maxLength: 2 }).map((paths) =>
        paths.flatMap((path) => path.map((_, at) => path.slice(0, at + 1))),
      ),
      introspection: boolean(),
    }).map((operation) => ({ graphql: { operations: [operation] } })),
  },
  {
    keys: record(
      { repos: patterns, push: patterns, force: boolean() },
      { requiredKeys: ['force'] },
    ).map((git) => ({ git })),
    read: record({
      repo: name,
      service: constantFrom('upload-pack', 'receive-pack'),
      commands: array(
        record<GitCommand>({ ref: name, change: constantFrom('create', 'update', 'delete') }),
        { maxLength: 2 },
      ),
    }).map((git) => ({ git })),
  },
]

const allows = (inside: BoundInside, content: Content): boolean =>
  findMismatch(inside, { upgrade: false, content }) === undefined

void t.test('R69: whatever is inside, what is included is allowed by the wider rule', (t) => {
  for (const { keys, read } of KINDS) {
    let included = 0
    let shown = 0
    assert(
      property(keys, keys, array(read, { minLength: 10, maxLength: 20 }), (one, other, reads) => {
        const wide = bindInside(one, {})
        const narrow = bindInside(other, {})
        if (!includesInside(wide, narrow)) return true
        included += 1
        return reads.every((content) => {
          if (!allows(narrow, content)) return true
          shown += 1
          return allows(wide, content)
        })
      }),
      { numRuns: 4000 },
    )
    t.ok(included > 15, `${included} were included`)
    t.ok(shown > 15, `${shown} calls were allowed by both`)
  }
  t.end()
})

void t.test('R69: every rule includes itself, and none of another kind', (t) => {
  for (const [at, { keys }] of KINDS.entries())
    assert(
      property(keys, KINDS[(at + 1) % KINDS.length]!.keys, (one, other) => {
        const inside = bindInside(one, {})
        return (
          includesInside(inside, inside) &&
          includesInside(undefined, inside) &&
          !includesInside(inside, undefined) &&
          !includesInside(inside, bindInside(other, {}))
        )
      }),
    )
  t.end()
})
