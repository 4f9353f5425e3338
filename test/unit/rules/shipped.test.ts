// Proves the shipped rule sets and the shipped configuration: each set passes a trace of its real client and refuses its
// service's publish or upload call.

import path from 'node:path'
import { fileURLToPath } from 'node:url'

import t from 'tap'

import { checkInstallation } from '../../../src/config/check-installation.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { loadRuleSets } from '../../../src/config/rules.ts'
import { checkRuleSet } from '../../../src/policy/check.ts'
import { checkTests } from '../../../src/policy/rule-tests.ts'
import * as graphql from '../../../src/inspect/graphql/read.ts'
import { makeContentReader } from '../../../src/understand/read-content.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
// The runner of tests cannot load it by `require`, as the program does.
const readContent = makeContentReader(() => graphql)
const { sets, problems } = loadRuleSets(path.join(root, 'rules'))

/** What each service's client does to publish; the set must have a test that refuses it. */
const PUBLISHES: Readonly<Record<string, RegExp>> = {
  anthropic: /^POST .*\/v1\/files$/,
  'code-repositories': /^POST .*\/git-receive-pack$/,
  'container-images': /^POST .*\/blobs\/uploads\/$/,
  crates: /^PUT .*\/api\/v1\/crates\/new$/,
  'customer-records': /^POST .*\/customers$/,
  debian: /^PUT .*\.deb$/,
  gemini: /^POST .*\/upload\/v1beta\/files$/,
  'github-api': /^POST .*\/releases$/,
  'github-git': /^POST .*\/git-receive-pack$/,
  'github-git-push': /^PUT .*\/alambic\/media\//,
  'github-graphql': /^POST .*\/graphql$/,
  'go-modules': /^PUT .*\.zip$/,
  huggingface: /^POST .*\/commit\/main$/,
  'mcp-github': /^POST .*\/mcp\/$/,
  npm: /^PUT .*\/@babel%2fcore$/,
  openai: /^POST .*\/v1\/files$/,
  payments: /^POST .*\/payouts$/,
  pypi: /^POST .*\/legacy\/$/,
}

void t.test('the services that agents use most have a set each', (t) => {
  t.strictSame(problems, [])
  t.strictSame([...sets.keys()].sort(), Object.keys(PUBLISHES))
  for (const [name, { file, description, owner }] of sets) {
    t.equal(path.basename(file), `${name}.yaml`)
    t.ok(description, `${name} says what it is for`)
    t.ok(owner, `${name} has an owner`)
  }
  t.end()
})

void t.test('each passes its own trace and refuses to publish', (t) => {
  for (const [name, set] of sets) {
    const results = checkTests(set, readContent)
    for (const { name: call, passed, expected, got } of results)
      t.ok(passed, `${name}: ${call}: expected ${expected}, got ${got}`)
    const publish = PUBLISHES[name]
    t.ok(
      results.some(
        ({ name: call, expected }) => publish?.test(call) && expected.startsWith('deny '),
      ),
      `${name} refuses to publish`,
    )
    for (const { id, verdict } of set.rules)
      if (verdict !== 'deny')
        t.ok(
          results.some(({ expected }) => expected === `${verdict} ${id}`),
          `${name}: rule ${id} has a test`,
        )
  }
  t.end()
})

void t.test('none is wider than it says', (t) => {
  for (const [name, set] of sets) {
    const found = new Set(checkRuleSet(set).map(({ code }) => code))
    // apt asks over plain HTTP and checks signatures itself.
    t.strictSame([...found], name === 'debian' ? ['plain-http'] : [], name)
  }
  t.end()
})

void t.test('package ecosystems take their hosts from the task', (t) => {
  for (const name of ['npm', 'pypi', 'crates', 'go-modules', 'debian', 'container-images'])
    for (const { destinations } of sets.get(name)?.rules ?? [])
      for (const { host, text } of destinations) t.equal(host.kind, 'param', `${name}: ${text}`)
  t.end()
})

void t.test('the shipped configuration is sound with them', (t) => {
  const loaded = loadConfig({ file: path.join(root, 'sallyport.yaml'), environment: {} })
  t.strictSame(loaded.problems, [])
  const { config } = loaded
  if (config === undefined) throw new Error('no configuration')
  t.strictSame(checkInstallation(config, sets, loaded.placeOf), [])
  t.strictSame(config.listen.proxy, { kind: 'tcp', host: '127.0.0.1', port: 3128 })
  t.strictSame(config.listen.health, { kind: 'tcp', host: '127.0.0.1', port: 15_020 })
  t.ok(config.task && config.task.lifetimeMs <= config.limits.taskLifetimeMs)
  t.end()
})
