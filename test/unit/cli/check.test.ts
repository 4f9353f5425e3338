// Proves `check`: configuration and rules, alone and together, in every format.

import path from 'node:path'

import t from 'tap'

import { CONFIGURATION, RULES, run } from './support.ts'

interface Checked {
  readonly code: number
  /** `FILE:LINE:COLUMN CODE` */
  readonly found: string[]
}

type Tap = Pick<typeof t, 'testdir'>

async function check(
  t: Tap,
  configuration: string,
  rules: Record<string, string> = { 'w.yaml': RULES },
): Promise<Checked> {
  const dir = t.testdir({ 'sallyport.yaml': configuration, rules })
  const { code, out } = await run(['check', '--json', '--config', path.join(dir, 'sallyport.yaml')])
  const { problems }: { problems: { file: string; line: number; column: number; code: string }[] } =
    JSON.parse(out)
  const found = problems.map(
    ({ file, line, column, code: what }) =>
      `${path.relative(dir, path.resolve(file))}:${line}:${column} ${what}`,
  )
  return { code, found }
}

void t.test('a sound installation has no problems', async (t) => {
  t.strictSame(await check(t, CONFIGURATION), { code: 0, found: [] })
})

void t.test('problems of the configuration and of the rules are told together', async (t) => {
  const broken = RULES.replace('methods:', 'methds:')
  t.strictSame(await check(t, `${CONFIGURATION}listne: {}\n`, { 'w.yaml': broken }), {
    code: 1,
    found: ['rules/w.yaml:10:5 unknown-key', 'sallyport.yaml:13:1 unknown-key'],
  })
})

void t.test('rule sets that the configuration names are there', async (t) => {
  t.strictSame((await check(t, CONFIGURATION.replace('[widgets]', '[widgets, wigdets]'))).found, [
    'sallyport.yaml:8:20 missing-rule-set',
  ])
  t.strictSame((await check(t, `${CONFIGURATION}rules: { always: [guard] }\n`)).found, [
    'sallyport.yaml:13:19 missing-rule-set',
  ])
})

void t.test("the task's parameters fit the rule sets", async (t) => {
  const withParams = (params: string): string =>
    CONFIGURATION.replace('{ repo: acme/widgets }', params)
  t.strictSame((await check(t, withParams('{}'))).found, ['rules/w.yaml:3:3 param-missing'])
  t.strictSame((await check(t, withParams('{ repo: acme }'))).found, [
    'rules/w.yaml:3:3 param-value',
  ])
  t.strictSame((await check(t, withParams('{ repo: acme/.. }'))).found, [
    'rules/w.yaml:3:3 param-value',
  ])
  t.strictSame((await check(t, withParams('{ repo: a/b, rpeo: a/b }'))).found, [
    'sallyport.yaml:9:11 param-unknown',
  ])
})

void t.test(
  'credentials that rules name are configured and reach the hosts of the rules',
  async (t) => {
    t.strictSame((await check(t, CONFIGURATION.replace('  api:', '  ap:'))).found, [
      'rules/w.yaml:8:5 unknown-credential',
    ])
    t.strictSame(
      (await check(t, CONFIGURATION.replace('hosts: [api.test]', 'hosts: [other.test]'))).found,
      ['rules/w.yaml:8:5 credential-host'],
    )
    t.strictSame(
      (await check(t, CONFIGURATION.replace('hosts: [api.test]', 'hosts: ["api.test:8443"]')))
        .found,
      ['rules/w.yaml:8:5 credential-host'],
    )
    const plain = RULES.replace(
      '    allow: https://api.test\n    methods: [GET]',
      '    allow: [https://api.test, http://api.test]\n    methods: [GET]',
    )
    t.ok(
      (await check(t, CONFIGURATION, { 'w.yaml': plain })).found.includes(
        'rules/w.yaml:8:5 credential-plaintext',
      ),
    )
  },
)

void t.test('a rule set that no task uses may name credentials that are not there', async (t) => {
  const unused = RULES.replace('ruleset: widgets', 'ruleset: spare').replace(
    'credential: api',
    'credential: spare',
  )
  t.strictSame(await check(t, CONFIGURATION, { 'w.yaml': RULES, 'spare.yaml': unused }), {
    code: 0,
    found: [],
  })
})

void t.test('two sets of a task do not give one call two credentials', async (t) => {
  const other = RULES.replace('ruleset: widgets', 'ruleset: other').replace(
    'credential: api',
    'credential: two',
  )
  const configuration = CONFIGURATION.replace('[widgets]', '[widgets, other]').replace(
    'credentials:\n',
    'credentials:\n  two: { source: { env: T }, inject: { bearer: true }, hosts: [api.test] }\n',
  )
  const { code, found } = await check(t, configuration, { 'w.yaml': RULES, 'o.yaml': other })
  t.equal(code, 1)
  t.strictSame(found, ['rules/o.yaml:8:5 credential-conflict'])
})

void t.test('a test that fails is an error, breadth is a warning', async (t) => {
  const failing = RULES.replace('deny path-not-allowed', 'deny method-not-allowed')
  t.strictSame(await check(t, CONFIGURATION, { 'w.yaml': failing }), {
    code: 1,
    found: ['rules/w.yaml:22:5 test-failed'],
  })
  const wide = RULES.replace('    methods: [POST]\n', '')
  t.strictSame(await check(t, CONFIGURATION, { 'w.yaml': wide }), {
    code: 0,
    found: ['rules/w.yaml:13:5 any-method'],
  })
})

void t.test('files may be given: rule files, directories, configurations', async (t) => {
  const dir = t.testdir({
    'other.yaml': CONFIGURATION.replace('ceiling: internal', 'ceiling: secret'),
    rules: { 'w.yaml': RULES.replace('GET]', 'get]') },
  })
  t.match(await run(['check', path.join(dir, 'rules/w.yaml')]), {
    code: 1,
    out: /w\.yaml:10:15: error/,
  })
  t.match(await run(['check', path.join(dir, 'rules')]), { code: 1, out: /w\.yaml:10:15: error/ })
  t.match(await run(['check', path.join(dir, 'other.yaml')]), {
    code: 1,
    out: /other\.yaml:11:12: error/,
  })
  t.match(await run(['check', path.join(dir, 'absent.yaml')]), { code: 2, err: /there is no / })
})

void t.test('people read place, problem and mending, GitHub its commands', async (t) => {
  const dir = t.testdir({ 'sallyport.yaml': 'listne: {}\njournal: { retain: "a,b: 100%" }\n' })
  const file = path.join(dir, 'sallyport.yaml')
  const { out } = await run(['check', '--config', file])
  t.match(
    out,
    /sallyport\.yaml:1:1: error: unknown key `listne` \[unknown-key\]\n {2}→ did you mean `listen`\?\n/,
  )
  t.match(out, /2 errors, 0 warnings\n$/)
  const github = await run(['check', '--config', file, '--format', 'github'])
  t.equal(github.code, 1)
  t.match(
    github.out.split('\n')[0],
    /^::error file=.*sallyport\.yaml,line=1,col=1,title=unknown-key::unknown key `listne`: did you mean `listen`\?$/,
  )
})

void t.test('SARIF is the format that code scanning reads', async (t) => {
  const dir = t.testdir({
    'sallyport.yaml': 'listne: {}\n',
    rules: { 'w.yaml': RULES.replace('    methods: [POST]\n', '') },
  })
  const { code, out } = await run([
    'check',
    '--config',
    path.join(dir, 'sallyport.yaml'),
    '--format',
    'sarif',
  ])
  t.equal(code, 1)
  t.match(JSON.parse(out), {
    $schema: /sarif-2\.1\.0/,
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: { name: 'sallyport check', rules: [{ id: 'any-method' }, { id: 'unknown-key' }] },
        },
        results: [
          {
            ruleId: 'any-method',
            ruleIndex: 0,
            level: 'warning',
            locations: [{ physicalLocation: { region: { startLine: 13, startColumn: 5 } } }],
          },
          { ruleId: 'unknown-key', ruleIndex: 1, level: 'error', message: { text: /listne/ } },
        ],
      },
    ],
  })
})

void t.test('R75: a hold names people who may answer, or `check` says who may not', async (t) => {
  const held = (reviewers: string): Record<string, string> => ({
    'w.yaml': RULES.replace(
      'tests:',
      `  - { id: pay, hold: 'https://pay.test/x', methods: [POST], environment: prod${reviewers} }\ntests:`,
    ),
  })
  const people = (principal: string): string => `${CONFIGURATION}
control: { principals: [{ name: ann, tokenFile: a, ${principal} }] }
reviewers: { pager: { webhook: { url: 'https://pager.test', secret: { env: P } }, teams: [ops] } }
`
  const unknown = 'rules/w.yaml:18:5 reviewer-unknown'
  for (const [principal, reviewers, found] of [
    ['roles: [approver], teams: [finance]', ", reviewers: [ann, 'team:finance', pager]", []],
    ['roles: [approver]', ", reviewers: [an, 'team:finance', 'team:ops']", [unknown, unknown]],
    ['roles: [operator]', ', reviewers: [ann]', [unknown]],
    ['roles: [operator]', '', []],
  ] as const)
    t.strictSame(await check(t, people(principal), held(reviewers)), { code: 0, found })
  t.strictSame((await check(t, CONFIGURATION, held(''))).found, [], 'the administrator may')
  t.strictSame((await check(t, CONFIGURATION, held(', reviewers: [ann]'))).found, [unknown])
  const nobody = people('roles: [operator]').replace(/^reviewers:.*$/m, '')
  t.strictSame((await check(t, nobody, held(''))).found, [unknown])
})
