// Holds the imports of src to ARCHITECTURE.md: who may import whom, one dialer, one door to secrets.

import { cruise, type IForbiddenRuleType, type IReporterOutput } from 'dependency-cruiser'
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config'
import t from 'tap'

// From the lowest to the highest; a module imports only from its own layer's room or below.
const LAYERS: readonly (readonly string[])[] = [
  [
    'errors.ts',
    'door-limits.ts',
    'credential-limits.ts',
    'limits.ts',
    'deadlines.ts',
    'program.ts',
  ],
  ['wire/'],
  [
    'inspect/',
    'policy/',
    'tasks/task.ts',
    'credentials/secret.ts',
    'credentials/vault.ts',
    'credentials/reveal.ts',
    'ledger/owed.ts',
  ],
  ['call-parts.ts', 'call.ts'],
  ['net/'],
  ['identify/', 'tasks/', 'credentials/', 'ledger/', 'inject/', 'tls/', 'forward/', 'record/'],
  [
    'pipeline.ts',
    'stages.ts',
    'receive.ts',
    'judge.ts',
    'understand/',
    'holding/',
    'envelope/',
    'brokering/',
  ],
  ['listen/'],
  ['control/', 'config/', 'sandbox/'],
  ['sidecar.ts'],
  ['cli/'],
  ['main.ts'],
]
// Rooms of one layer that must not know each other: `pipeline.ts` joins them.
const APART = ['identify', 'ledger', 'inject', 'forward', 'tls', 'record']

const pattern = (parts: readonly string[]): string =>
  `^src/(${parts.map((part) => part.replace('.', '\\.') + (part.endsWith('/') ? '' : '$')).join('|')})`

const only = (name: string, to: string, from: string): IForbiddenRuleType => ({
  name,
  severity: 'error',
  from: { path: '^src/', pathNot: from },
  to: { path: to },
})

const forbidden: IForbiddenRuleType[] = [
  { name: 'no-cycle', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
  { name: 'no-test', severity: 'error', from: { path: '^src/' }, to: { path: '^test/' } },
  ...LAYERS.slice(0, -1).map((layer, at): IForbiddenRuleType => {
    const lower = LAYERS.slice(0, at)
      .flat()
      .filter((part) => !part.endsWith('/'))
    return {
      name: `downward-from-${layer[0]}`,
      severity: 'error',
      from: { path: pattern(layer), ...(lower.length > 0 && { pathNot: pattern(lower) }) },
      to: {
        path: pattern(LAYERS.slice(at + 1).flat()),
        pathNot: pattern(LAYERS.slice(0, at + 1).flat()),
      },
    }
  }),
  ...APART.map((room): IForbiddenRuleType => ({
    name: `${room}-apart`,
    severity: 'error',
    from: { path: `^src/${room}/` },
    to: { path: `^src/(${APART.filter((other) => other !== room).join('|')})/` },
  })),
  only('undici-in-net', '^node_modules/undici/', '^src/net/'),
  only(
    'http-proxy-in-one-file',
    '^node_modules/(@types/)?http-proxy/',
    '^src/forward/upgrade\\.ts$',
  ),
  only('node-forge-in-tls', '^node_modules/(@types/)?node-forge/', '^src/tls/'),
  only('pino-in-record', '^node_modules/pino/', '^src/record/'),
  only('one-reveal', '^src/credentials/reveal\\.ts$', '^src/(inject|net|credentials)/'),
  only('one-vault', '^src/credentials/vault\\.ts$', '^src/credentials/'),
  only('permits-by-the-ledger', '^src/net/issue-call\\.ts$', '^src/ledger/'),
  only('operator-permits-by-config', '^src/net/issue-operator\\.ts$', '^src/config/'),
  {
    name: 'outward-sockets-in-net',
    severity: 'error',
    from: {
      path: '^src/(identify|tasks|credentials|ledger|inject|record|policy|wire|config|control|cli|envelope|call\\.ts|pipeline\\.ts)',
      // `net.isIP` alone decides what an address literal is; that opens nothing. The control API's client is another
      // process's side: the command line's and an orchestrator's, never the sidecar's.
      pathNot: '^src/(wire/address|config/units|control/client)\\.ts$',
    },
    to: {
      path: '^(node:)?(net|tls|http|https|http2|dgram|dns)$',
      dependencyTypes: ['core'],
      dependencyTypesNot: ['type-only'],
    },
  },
  {
    name: 'client-for-the-command-line',
    severity: 'error',
    from: { path: '^src/', pathNot: '^src/(cli/|control/client)' },
    to: { path: '^src/control/client' },
  },
  {
    name: 'client-without-the-server',
    severity: 'error',
    from: { path: '^src/control/client' },
    to: {
      path: '^(src/|node_modules/)',
      pathNot: '^src/(control/client|tasks/view\\.ts$)',
      dependencyTypesNot: ['type-only'],
    },
  },
  {
    name: 'control-without-the-data-path',
    severity: 'error',
    from: { path: '^src/control/' },
    to: {
      path: '^src/(call|pipeline|stages|net|identify|credentials|ledger|inject|tls|forward|record|listen|envelope|config|sidecar)',
      pathNot: '^src/listen/bind\\.ts$',
    },
  },
  only('graphql-in-inspect', '^node_modules/graphql/', '^src/inspect/'),
  only('hono-in-control', '^node_modules/(@hono/|hono/)', '^src/control/'),
  {
    name: 'pure-is-pure',
    severity: 'error',
    // `net.isIP` alone decides what an address literal is.
    from: {
      path: '^src/(wire|inspect|policy|record/project|errors\\.ts|limits\\.ts)',
      pathNot: '^src/wire/address\\.ts$',
    },
    to: {
      path: '^(node:)?(fs|net|tls|http|https|http2|dgram|dns|child_process|worker_threads|os|process|stream)$',
      dependencyTypes: ['core'],
    },
  },
]

void t.test('every import of src goes the way ARCHITECTURE.md draws', async (t) => {
  const result: IReporterOutput = await cruise(
    ['src'],
    {
      validate: true,
      ruleSet: { forbidden },
      tsPreCompilationDeps: true,
      enhancedResolveOptions: {
        exportsFields: ['exports'],
        conditionNames: ['import', 'types', 'node'],
      },
    },
    undefined,
    { tsConfig: extractTSConfig('tsconfig.json') },
  )
  if (typeof result.output === 'string') throw new Error('expected the result as an object')
  const { summary, modules } = result.output
  t.ok(
    modules.filter(({ source }) => source.startsWith('src/')).length > 60,
    'the modules were seen',
  )
  t.ok((summary.totalDependenciesCruised ?? 0) > 200, 'their imports were seen')
  t.strictSame(
    summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`),
    [],
  )
})

void t.test('the rules bite: a forbidden import is seen', async (t) => {
  const result = await cruise(
    ['src'],
    {
      validate: true,
      ruleSet: {
        forbidden: [
          {
            name: 'probe',
            severity: 'error',
            from: { path: '^src/pipeline' },
            to: { path: '^src/errors' },
          },
        ],
      },
      tsPreCompilationDeps: true,
    },
    undefined,
    { tsConfig: extractTSConfig('tsconfig.json') },
  )
  if (typeof result.output === 'string') throw new Error('expected the result as an object')
  t.ok(result.output.summary.violations.length > 0)
})
