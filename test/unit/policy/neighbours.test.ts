// The index of rules by host and path leaves nothing out that has a call in common.

import { array, assert, constantFrom, property, record } from 'fast-check'
import t from 'tap'

import { Neighbours } from '../../../src/policy/neighbours.ts'
import { callsOverlap, hostsOverlap } from '../../../src/policy/overlap.ts'
import { ruleSet } from './ask.ts'

const written = record({
  host: constantFrom(
    'https://a.test',
    'https://b.a.test',
    'https://*.a.test',
    'https://*.test',
    'https://*',
    'https://{p}',
    'https://{q}',
    'https://10.0.0.1',
    '{ scheme: https, cidr: 10.0.0.0/8 }',
  ),
  paths: constantFrom('', '[/]', '[/a, /b/c]', '["/{p}"]', '["/a*"]', '["/**/c"]', '["/a/**"]'),
})

void t.test('whatever may have a call in common with a rule is found near it', (t) => {
  assert(
    property(array(written, { minLength: 1, maxLength: 8 }), (rules) => {
      const lines = rules.map(({ host, paths }, at) => {
        const destination = host.startsWith('{ ') ? host : `"${host}"`
        return `  - { id: r${at}, allow: ${destination}${paths === '' ? '' : `, paths: ${paths}`} }`
      })
      const { rules: read } = ruleSet(
        `ruleset: x\nparams: { p: { pattern: a }, q: { pattern: a } }\nrules:\n${lines.join('\n')}`,
      )
      const items = read.flatMap((rule) =>
        rule.destinations.map((destination) => ({
          rule,
          destination,
          host: destination.host,
          paths: rule.paths,
        })),
      )
      const near = new Neighbours(items)
      return items.every((one) => {
        const found = near.near(one)
        return (
          found.includes(one) &&
          found.every(
            (each, at) => at === 0 || items.indexOf(found[at - 1]!) < items.indexOf(each),
          ) &&
          items
            .filter((other) => hostsOverlap(one.host, other.host) && callsOverlap(one, other))
            .every((other) => found.includes(other))
        )
      })
    }),
    { numRuns: 1000 },
  )
  t.end()
})
