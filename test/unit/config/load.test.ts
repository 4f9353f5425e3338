// Proves the reading of the configuration: defaults, every problem at once with its place, precedence, the static task.

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import type { Config } from '../../../src/config/config.ts'
import { loadConfig, type Loaded } from '../../../src/config/load.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'

const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-config-'))
t.teardown(async () => (await import('node:fs/promises')).rm(dir, { recursive: true }))

const TASK = `task:
  intent: Triage issues.
  owner: { name: on-call, team: payments }
  agent: { account: bot, instance: bot/1 }
  sandbox: { id: c0ffee }
  rules: [github]
  environment: prod
  ceiling: confidential
  expires: 30m
`

function load(
  text: string,
  rest: { flags?: Record<string, string>; environment?: Record<string, string> } = {},
): Loaded {
  const file = path.join(dir, 'sallyport.yaml')
  writeFileSync(file, text)
  return loadConfig({ file, environment: {}, ...rest })
}

function loaded(text: string, rest?: Parameters<typeof load>[1]): Config {
  const { config, problems } = load(text, rest)
  if (config === undefined) throw new Error(JSON.stringify(problems))
  return config
}

/** Problems as `line:column code message`. */
function found(text: string, rest?: Parameters<typeof load>[1]): string[] {
  const { config, problems } = load(text, rest)
  if (config !== undefined) return []
  return problems.map(({ line, column, code, message }) => `${line}:${column} ${code} ${message}`)
}

void t.test('an empty file is a sidecar without a task, everything at its default', (t) => {
  const config = loaded('')
  t.equal(config.task, undefined)
  t.strictSame(config.listen.proxy, { kind: 'tcp', host: '127.0.0.1', port: 3128 })
  t.strictSame(config.listen.health, { kind: 'tcp', host: '127.0.0.1', port: 15_020 })
  t.strictSame(config.limits, DEFAULT_LIMITS)
  t.equal(config.ca.lifetimeMs, 30 * 86_400_000)
  t.equal(config.journal.segmentBytes, 64 * 1024 ** 2)
  t.equal(config.refusals.connect, 'early')
  t.strictSame(config.credentials, [])
  t.end()
})

void t.test('no file at all is the same, relative to the working directory', (t) => {
  const { config } = loadConfig({ file: undefined, environment: {} })
  t.equal(config?.file, undefined)
  t.equal(config?.rules.dir, path.resolve('rules'))
  t.end()
})

void t.test('a file that is not there is a problem, not a default', (t) => {
  const { config, problems } = loadConfig({ file: path.join(dir, 'absent.yaml'), environment: {} })
  t.equal(config, undefined)
  t.match(problems, [{ code: 'file-unreadable', message: 'there is no such file' }])
  t.end()
})

void t.test('relative paths are relative to the file', (t) => {
  const config = loaded(
    'journal: { dir: j }\nlisten: { proxy: "unix:s/p.sock" }\nca: { dir: /abs }\n',
  )
  t.equal(config.journal.dir, path.join(dir, 'j'))
  t.strictSame(config.listen.proxy, { kind: 'unix', path: path.join(dir, 's/p.sock') })
  t.equal(config.ca.dir, '/abs')
  t.equal(config.ca.keyFile, path.join(dir, 'state/ca.key'))
  t.end()
})

void t.test('a section with nothing in it has its defaults', (t) => {
  t.strictSame(loaded('rules:\njournal:\n').rules, { dir: path.join(dir, 'rules'), always: [] })
  t.end()
})

void t.test('all problems are told at once, each with its place and what was meant', (t) => {
  const { problems } = load(
    [
      'listen: { proxi: "127.0.0.1:1" }',
      'jornal: {}',
      'journal: { sync: sometimes, retain: 30 }',
      'upstream: { hosts: { api.test: [1.2.3] }, allowAddresses: [10.0.0.1/8] }',
      'limits: { headBytesMx: 1 }',
    ].join('\n'),
  )
  const shown = problems.map(({ line, column, code, hint }) =>
    `${line}:${column} ${code} ${hint ?? ''}`.trim(),
  )
  t.strictSame(shown, [
    '1:11 unknown-key did you mean `proxy`?',
    '2:1 unknown-key did you mean `journal`?',
    '3:18 invalid-value',
    '3:37 invalid-value',
    '4:33 invalid-value',
    '4:60 invalid-value',
    '5:11 unknown-key did you mean `headBytesMax`?',
  ])
  t.end()
})

void t.test('keys that this version does not serve are refused by name', (t) => {
  const keys: Record<string, string> = {
    'control.principals.0.oidc':
      'control: { principals: [{ name: a, tokenFile: t, roles: [viewer], oidc: {} }] }',
    'sinks.0.kafka': 'sinks: [{ kafka: {}, stdout: {} }]',
    'task.parent': `${TASK}  parent: t_1`,
    'task.identity.subject': `${TASK}  identity: { subject: spiffe://a }`,
    'task.credentials': `${TASK}  credentials: []`,
    'credentials.a.source.gcp':
      'credentials: { a: { source: { gcp: {}, env: A }, inject: { bearer: true }, hosts: [a.test] } }',
    'credentials.a.inject.body':
      'credentials: { a: { source: { env: A }, inject: { body: {}, bearer: true }, hosts: [a.test] } }',
  }
  for (const name of ['pdp', 'fleet', 'console']) keys[name] = `${name}: {}`
  for (const [key, text] of Object.entries(keys)) {
    const { config, problems } = load(text)
    t.equal(config, undefined, key)
    t.match(
      problems,
      [{ code: 'not-served', message: `\`${key}\` is not served by this version` }],
      key,
    )
  }
  t.end()
})

void t.test('a proxy above is read, and what it cannot be is said in words', (t) => {
  const { config } = load(
    'upstream: { proxy: { url: "https://Corp-Proxy.test", auth: { user: us, password: { file: p.secret } } } }',
  )
  t.match(config?.upstream.proxy, {
    url: { endpoint: { host: 'corp-proxy.test', port: 443 }, tls: true },
    connectBy: 'address',
    auth: { user: 'us', password: { file: path.join(dir, 'p.secret') } },
  })
  t.match(load('upstream: { proxy: { url: "http://[::1]:3128/", connectBy: name } }').config, {
    upstream: { proxy: { url: { endpoint: { host: '::1', port: 3128 }, tls: false } } },
  })
  const told = (text: string): string[] =>
    load(text).problems.map(({ code, message }) => `${code} ${message}`)
  const mistakes: Record<string, RegExp> = {
    'url: "http://us:pw@x:1"': /no user and no password in the URL: they are `auth/,
    'url: "socks5://x:1"': /expected http:\/\/HOST:PORT/,
    'url: "http://x:1/path"': /expected http:\/\/HOST:PORT/,
    'url: "http://x:99999"': /expected http:\/\/HOST:PORT/,
    'url: "http://sallyport.internal:1"': /expected http:\/\/HOST:PORT/,
    'url: "http://x:1", connectBy: both': /expected address or name/,
    'url: "http://x:1", auth: { user: "a:b", password: { env: A } }': /without a colon/,
    'url: "http://x:1", auth: { user: a, password: secret }': /expected \{ env: NAME \}/,
    'connectBy: name': /url/,
  }
  for (const [text, message] of Object.entries(mistakes)) {
    const problems = told(`upstream: { proxy: { ${text} } }`)
    t.match(problems, [message], text)
    t.equal(problems.length, 1, text)
    t.notMatch(problems.join(), 'us:pw')
  }
  t.match(
    told(
      'listen: { proxy: "0.0.0.0:9000" }\nupstream: { proxy: { url: "http://localhost:9000" } }',
    ),
    [/conflict .*is a listener of this sidecar/],
  )
  for (const here of ['0.0.0.0', '[::]', 'LOCALHOST.', 'x.localhost', '[::ffff:127.0.0.1]'])
    t.match(
      told(`upstream: { proxy: { url: "http://${here}:3128" } }`),
      [/conflict .*is a listener of this sidecar/],
      here,
    )
  t.strictSame(
    told(
      'listen: { proxy: "127.0.0.2:9000" }\nupstream: { proxy: { url: "http://127.0.0.3:9000" } }',
    ),
    [],
  )
  const plain =
    'credentials: { a: { source: { env: A }, inject: { bearer: true }, hosts: ["a.test:80"], insecurePlaintext: true } }'
  t.match(told(`${plain}\nupstream: { proxy: { url: "http://x:1", connectBy: name } }`), [
    /conflict `a` is sent in plaintext to listed addresses only/,
  ])
  t.strictSame(told(`${plain}\nupstream: { proxy: { url: "http://x:1" } }`), [])
  t.end()
})

void t.test('R74: profiles are defined or made stricter, never looser', (t) => {
  const { config } = load(`profiles:
  payments: { lifetime: 15m, regulation: [sox] }
  patients: { category: health }
`)
  t.strictSame(config?.profiles.get('payments'), {
    name: 'payments',
    lifetimeMs: 900_000,
    data: 'restricted',
    category: ['payments'],
    regulation: ['pci-dss', 'sox'],
  })
  t.strictSame(config?.profiles.get('patients'), {
    name: 'patients',
    lifetimeMs: 3_600_000,
    data: 'confidential',
    category: ['health'],
    regulation: [],
  })
  t.strictSame(
    [...(config?.profiles.keys() ?? [])],
    ['regulated', 'customer-records', 'code-repositories', 'payments', 'patients'],
  )
  for (const [text, code] of [
    ['payments: { lifetime: 61m }', 'limit-exceeded'],
    ['payments: { data: confidential }', 'invalid-value'],
    ['patients: { data: internal }', 'invalid-value'],
    ['patients: { lifetime: short }', 'invalid-value'],
    ['Patients: {}', 'invalid-value'],
    ['patients: { klass: restricted }', 'unknown-key'],
  ] as const)
    t.match(load(`profiles: { ${text} }`).problems, [{ code }], text)
  t.equal(load('profiles: { patients: { lifetime: 2h } }').problems.length, 0)
  t.end()
})

void t.test('R01: a task lacks nothing: each missing thing is refused by its name', (t) => {
  const names = {
    intent: 'task.intent',
    'owner.name': 'task.owner.name',
    'owner.team': 'task.owner.team',
    'agent.account': 'task.agent.account',
    'agent.instance': 'task.agent.instance',
    'sandbox.id': 'task.sandbox.id',
    rules: 'task.rules',
    environment: 'task.environment',
    ceiling: 'task.ceiling',
    expires: 'task.expires',
  }
  t.ok(loaded(TASK).task, 'the whole task is taken')
  for (const [key, name] of Object.entries(names)) {
    const [parent = '', child] = key.split('.')
    const text =
      child === undefined
        ? TASK.replace(new RegExp(`^  ${parent}:.*\n`, 'm'), '')
        : TASK.replace(new RegExp(`(^  ${parent}: \\{.*?)${child}: [^,}]+,? ?`, 'm'), '$1')
    const problems = found(text)
    t.equal(problems.length, 1, key)
    t.ok(problems[0]?.endsWith(`missing-key \`${name}\` is missing`), `${key}: ${problems[0]}`)
  }
  t.strictSame(
    found(TASK.replace(/^ {2}owner:.*\n/m, '')).map((text) => text.replace(/^\S+ /, '')),
    ['missing-key `task.owner.name` is missing', 'missing-key `task.owner.team` is missing'],
    'a missing object is missed by what it must hold',
  )
  t.end()
})

void t.test('R12: a task lives no longer than the limit', (t) => {
  t.equal(loaded(TASK.replace('30m', '24h')).task?.lifetimeMs, 86_400_000)
  t.match(found(TASK.replace('30m', '25h')), [/limit-exceeded .*taskLifetimeMs`, 1d/])
  t.ok(loaded(`${TASK.replace('30m', '25h')}limits: { taskLifetimeMs: 48h }\n`).task)
  t.match(found(TASK.replace('30m', '30')), [/expected a duration/])
  t.end()
})

void t.test('each door is reachable by the static task alone, and is its own', (t) => {
  const doors = (text: string): string => `listen: { proxy: "127.0.0.1:3128", ${text} }\n`
  const transparent = doors('transparent: { http: "127.0.0.1:80", tls: "127.0.0.1:443" }')
  t.ok(loaded(transparent + TASK))
  t.match(found(transparent), [/missing-key .listen\.transparent. needs .task./])
  t.match(
    found(transparent + TASK.replace('30m', '30')),
    [/expected a duration/],
    'a task that cannot be read is there all the same',
  )
  t.ok(loaded(doors('socks: "127.0.0.1:1080"')), 'clients of SOCKS can prove their tasks')
  const wide = doors(
    'socks: "0.0.0.0:1080", transparent: { http: "0.0.0.0:80", tls: "[::]:443", dns: "0.0.0.0:53" }',
  )
  const shared = Array.from({ length: 4 }, () => /shared-listener/)
  t.match(found(wide + TASK), shared)
  t.equal(found(wide + TASK).length, shared.length)
  t.ok(loaded(`${wide}${TASK}  identity: { sources: [10.1.2.0/24] }\n`))
  t.match(found(doors('socks: "127.0.0.1:3128"')), [
    /conflict .listen\.socks. and .listen\.proxy. are the same address/,
  ])
  const twice = doors('transparent: { http: "127.0.0.1:443", tls: "127.0.0.1:443" }')
  t.match(found(twice + TASK), [
    /conflict .listen\.transparent\.tls. and .listen\.transparent\.http./,
  ])
  t.match(found(doors('socks: "127.0.0.1:15020"')), [
    /conflict .listen\.health. and .listen\.socks./,
  ])
  t.ok(loaded(doors('socks: "127.0.0.1:0", transparent: { http: "127.0.0.1:0" }') + TASK))
  for (const same of ['0.0.0.0:3128', '[::]:3128'])
    t.match(found(doors(`socks: "${same}"`)), [/conflict .listen\.socks. and .listen\.proxy./])
  t.match(found('listen: { proxy: "unix:a.sock", socks: "unix:./a.sock" }'), [/conflict/])
  t.ok(loaded('listen: { proxy: "unix:a.sock", socks: "unix:b.sock" }'))
  t.ok(loaded(doors('socks: "[::1]:3128"')), 'two families have an address each')
  t.end()
})

void t.test('the DNS door has an address and a port, and is not who the sidecar asks', (t) => {
  const door = (address: string): string =>
    `listen: { transparent: { dns: "${address}" } }\n${TASK}`
  t.ok(loaded(door('127.0.0.1:53')))
  t.match(found(door('unix:dns.sock')), [
    /invalid-value .listen\.transparent\.dns.: expected ADDRESS:PORT/,
  ])
  const asks = (server: string): string => `upstream: { resolver: ["${server}"] }\n`
  for (const server of ['127.0.0.1', '127.0.0.1:53'])
    t.match(found(door('127.0.0.1:53') + asks(server)), [/conflict .upstream\.resolver. names/])
  t.ok(loaded(door('127.0.0.1:53') + asks('127.0.0.1:5353')))
  t.end()
})

void t.test('a static task is reachable by its own sandbox only', (t) => {
  const shared = 'listen: { proxy: "0.0.0.0:3128" }\n'
  t.match(found(shared + TASK), [/1:18 shared-listener /])
  const bound = loaded(`${shared}${TASK}  identity: { sources: [10.1.2.0/24] }\n`)
  t.strictSame(bound.task?.sources, ['10.1.2.0/24'])
  t.ok(loaded(`listen: { proxy: "unix:p.sock" }\n${TASK}`))
  t.ok(loaded(`listen: { proxy: "[::1]:3128" }\n${TASK}`))
  t.ok(loaded(shared), 'without a static task a shared listener lends nobody an identity')
  t.end()
})

void t.test('two listeners have two addresses, and control beyond a socket has a token', (t) => {
  t.match(found('listen: { proxy: "127.0.0.1:1", health: "127.0.0.1:1" }'), [/conflict/])
  t.ok(loaded('listen: { proxy: "127.0.0.1:0", health: "127.0.0.1:0" }'))
  t.match(found('control: { listen: "127.0.0.1:9" }'), [/missing-key `control.tokenFile`/])
  t.ok(loaded('control: { listen: "127.0.0.1:9", tokenFile: t }'))
  t.match(found('control: { listen: "0.0.0.0:9", tokenFile: t }'), [/missing-key `control.tls`/])
  const tls = 'tls: { cert: c, key: k }'
  t.ok(loaded(`control: { listen: "0.0.0.0:9", tokenFile: t, ${tls} }`))
  t.match(found(`control: { ${tls} }`), [/conflict `control.tls` is for a TCP listener/])
  t.end()
})

void t.test('principals of the control API are named with one proof each', (t) => {
  const { control } = loaded(`control:
  listen: 10.0.0.1:9
  tls: { cert: tls/cert.pem, key: tls/key.pem, clientCa: tls/ca.pem }
  principals:
    - { name: ci, tokenFile: secrets/ci, roles: [orchestrator], teams: [payments] }
    - { name: ops@example.com, mtls: { subject: spiffe://acme/ops }, roles: [operator, viewer] }
`)
  t.match(control, {
    tls: { certFile: /^\/.*tls\/cert.pem$/, clientCaFile: /^\/.*tls\/ca.pem$/ },
    principals: [
      {
        name: 'ci',
        proof: { kind: 'token', file: /^\/.*secrets\/ci$/ },
        roles: ['orchestrator'],
        teams: ['payments'],
      },
      { proof: { kind: 'mtls', subject: 'spiffe://acme/ops' }, teams: [] },
    ],
  })
  const of = (principals: string, more = ''): string =>
    `control: { principals: [${principals}] ${more} }`
  const ci = '{ name: ci, tokenFile: t, roles: [viewer] }'
  t.ok(loaded(of(ci)))
  t.match(found(of(ci, ', tokenFile: t')), [/conflict/])
  t.match(found(of(`${ci}, ${ci}`)), [/duplicate there is a principal `ci` already/])
  t.match(found(of('{ name: administrator, tokenFile: t, roles: [viewer] }')), [/conflict/])
  t.match(found(of('{ name: a, roles: [viewer] }')), [/expected one proof/])
  t.match(found(of('{ name: a, tokenFile: t, mtls: { subject: s }, roles: [viewer] }')), [
    /expected one proof/,
  ])
  t.match(found(of('{ name: a, mtls: { subject: s }, roles: [viewer] }')), [
    /needs `control.tls.clientCa`/,
  ])
  t.match(found(of('{ name: a, tokenFile: t, roles: [] }')), [/expected at least one role/])
  t.match(found(of('{ name: a, tokenFile: t, roles: [root] }')), [/expected viewer, approver/])
  t.match(found(of('{ name: "a b", tokenFile: t, roles: [viewer] }')), [/expected letters/])
  t.end()
})

void t.test('credentials are read with their defaults', (t) => {
  const { credentials } = loaded(`credentials:
  git-hub: { source: { file: secrets/token }, inject: { header: { name: X-Key, format: 'token {}' } }, hosts: [API.github.com, "git.test:8443"] }
  b: { source: { env: B }, inject: { basic: { user: x } }, hosts: [b.test], placeholder: { env: B_KEY, prefix: ghp_, length: 40 } }
  q: { source: { env: Q }, inject: { query: { name: key } }, hosts: [q.test], insecurePlaintext: true }
`)
  t.strictSame(credentials[0], {
    name: 'git-hub',
    source: { kind: 'local', from: { file: path.join(dir, 'secrets/token') }, format: 'text' },
    inject: { kind: 'header', name: 'X-Key', format: 'token {}' },
    hosts: [
      { host: 'api.github.com', kind: 'name', port: 443 },
      { host: 'git.test', kind: 'name', port: 8443 },
    ],
    placeholder: { env: 'GIT_HUB_TOKEN', prefix: 'sallyport_git-hub_', length: 50 },
    insecurePlaintext: false,
  })
  t.strictSame(credentials[1]?.inject, { kind: 'basic', user: 'x' })
  t.strictSame(credentials[1]?.placeholder, { env: 'B_KEY', prefix: 'ghp_', length: 40 })
  t.equal(credentials[2]?.insecurePlaintext, true)
  t.end()
})

void t.test('a credential has one source, one place and hosts of its own', (t) => {
  const credential = (source: string, inject: string, rest = 'hosts: [a.test]'): string =>
    `credentials: { a: { source: ${source}, inject: ${inject}, ${rest} } }`
  t.ok(loaded(credential('{ env: A }', '{ bearer: true }')))
  const wrong = [
    credential('{}', '{ bearer: true }'),
    credential('{ env: A, file: b }', '{ bearer: true }'),
    credential('{ env: A }', '{}'),
    credential('{ env: A }', '{ bearer: true, query: { name: k } }'),
    credential('{ env: A }', '{ header: { name: Host } }'),
    credential('{ env: A }', '{ header: { name: X, format: none } }'),
    credential('{ env: A }', '{ bearer: true }', 'hosts: []'),
    credential('{ env: A }', '{ bearer: true }', 'hosts: ["*.a.test"]'),
    credential(
      '{ env: A }',
      '{ bearer: true }',
      'hosts: [a.test], placeholder: { prefix: p_, length: 8 }',
    ),
  ]
  for (const text of wrong) t.match(found(text), [/^1:\d+ invalid-value /], text)
  t.match(
    found(`credentials:
  a-b: { source: { env: A }, inject: { bearer: true }, hosts: [a.test] }
  a_b: { source: { env: A }, inject: { bearer: true }, hosts: [b.test] }`),
    [/conflict .*A_B_TOKEN/],
  )
  t.end()
})

void t.test('two credentials that sign for AWS need variables of their own', (t) => {
  const second = (placeholder: string): string => `credentials:
  one: { source: { env: A }, inject: { sigv4: {} }, hosts: [s3.amazonaws.com] }
  two: { source: { env: B }, inject: { sigv4: {} }, hosts: [sqs.eu-west-1.amazonaws.com]${placeholder} }`
  t.match(found(second('')), [
    /^3:.*conflict .*`one` and `two` .*AWS_ACCESS_KEY_ID/,
    /^3:.*conflict .*`one` and `two` .*AWS_SECRET_ACCESS_KEY/,
    /^3:.*conflict .*`one` and `two` .*AWS_SESSION_TOKEN/,
  ])
  const parts = (...envs: readonly string[]): string =>
    `, placeholder: { parts: { accessKeyId: { env: ${envs[0]} }, secretAccessKey: { env: ${envs[1]} }, sessionToken: { env: ${envs[2]} } } }`
  t.match(found(second(parts('B_KEY_ID', 'B_SECRET', 'AWS_SESSION_TOKEN'))), [
    /^3:.*conflict .*AWS_SESSION_TOKEN/,
  ])
  t.ok(loaded(second(parts('B_KEY_ID', 'B_SECRET', 'B_SESSION'))))
  t.end()
})

void t.test('places beyond a header are read as they are written', (t) => {
  const read = (inject: string): unknown =>
    loaded(`credentials: { a: { source: { env: A }, inject: ${inject}, hosts: [a.test] } }`)
      .credentials[0]?.inject
  t.strictSame(read('{ cookie: { name: sid } }'), { kind: 'cookie', name: 'sid' })
  t.strictSame(read('{ path: { segment: 2 } }'), { kind: 'path', segment: 2, format: '{}' })
  t.strictSame(read('{ form: { field: key } }'), { kind: 'form', field: 'key' })
  t.strictSame(read('{ json: { pointer: /a~1b/~0 } }'), { kind: 'json', pointer: ['a/b', '~'] })
  t.strictSame(read('{ mtls: true }'), { kind: 'mtls' })
  t.match(read(`{ sign: { hmac: { text: "{method}\\n{header:X-A}", header: X-S } } }`), {
    kind: 'hmac',
    algorithm: 'sha256',
    text: [{ field: 'method' }, { text: '\n' }, { field: 'header:X-A' }],
    encoding: 'hex',
    format: '{}',
  })
  t.match(
    read(
      '{ sign: { message: { algorithm: ed25519, keyId: k, components: ["@method", date], expires: 1m } } }',
    ),
    { kind: 'http-signature', components: ['@method', 'date'], expiresMs: 60_000, nonce: false },
  )
  const wrong = [
    '{ cookie: { name: "a b" } }',
    '{ path: { segment: 0 } }',
    '{ path: { segment: 1, format: a/{} } }',
    '{ path: { segment: 1, format: bot } }',
    '{ form: { field: "a[b]" } }',
    '{ json: { pointer: a } }',
    '{ json: { pointer: /~2 } }',
    '{ mtls: false }',
    '{ sign: {} }',
    '{ sign: { hmac: { text: "{none}", header: X-S } } }',
    '{ sign: { hmac: { text: "{timestamp}", header: X-S } } }',
    '{ sign: { hmac: { text: "{nonce}", header: X-S } } }',
    String.raw`{ sign: { hmac: { text: '{method}\n', header: X-S } } }`,
    '{ sign: { hmac: { text: "{header:host}", header: X-S } } }',
    '{ sign: { hmac: { text: "a", header: X-S, nonce: { header: x_s } } } }',
    '{ sign: { message: { algorithm: rsa, keyId: k, components: ["@method"] } } }',
    '{ sign: { message: { algorithm: ed25519, keyId: k, components: ["@status"] } } }',
    '{ sign: { message: { algorithm: ed25519, keyId: k, components: [Date] } } }',
    '{ sign: { message: { algorithm: ed25519, keyId: k, components: [date, date] } } }',
  ]
  for (const inject of wrong)
    t.match(
      found(`credentials: { a: { source: { env: A }, inject: ${inject}, hosts: [a.test] } }`),
      [/^1:\d+ /],
      inject,
    )
  t.end()
})

void t.test('limits are overridden by name, with a unit where they have one', (t) => {
  const { limits } = loaded(
    'limits: { connectionsMax: 7, headBytesMax: 128KiB, idleTimeoutMs: 10s, progressBytes: 5 }',
  )
  t.strictSame(limits, {
    ...DEFAULT_LIMITS,
    connectionsMax: 7,
    headBytesMax: 131_072,
    idleTimeoutMs: 10_000,
    progressBytes: 5,
  })
  for (const wrong of [
    'connectionsMax: 0',
    'connectionsMax: 1.5',
    'connectionsMax: 10s',
    'idleTimeoutMs: 30d',
  ])
    t.match(found(`limits: { ${wrong} }`), [/invalid-value/], wrong)
  t.end()
})

void t.test('what records keep of what is said is chosen for prompts and for tools', (t) => {
  t.strictSame(loaded('').record, { prompts: 'digest', tools: 'redacted' })
  t.strictSame(loaded('record: { prompts: off }').record, { prompts: 'off', tools: 'redacted' })
  t.strictSame(loaded('record: { prompts: full, tools: digest }').record, {
    prompts: 'full',
    tools: 'digest',
  })
  t.strictSame(loaded('', { environment: { SALLYPORT_RECORD_TOOLS: 'off' } }).record.tools, 'off')
  const { problems } = load('record: { prompts: all, tool: full }')
  t.match(problems, [{ message: /off.*digest.*redacted.*full/ }, { hint: 'did you mean `tools`?' }])
  t.end()
})

void t.test(
  '`redact` takes patterns and names, and refuses what would keep secrets or mask everything',
  (t) => {
    t.strictSame(loaded('').redact, { patterns: [], query: [], headers: [] })
    t.strictSame(
      loaded("redact: { patterns: ['EMP-\\d{6}'], query: [pin], headers: [X-Request-Id, Accept] }")
        .redact,
      { patterns: ['EMP-\\d{6}'], query: ['pin'], headers: ['x-request-id', 'accept'] },
    )
    for (const [written, expected] of [
      ["patterns: ['(']", /not an RE2 expression/],
      ["patterns: ['(?=a)']", /not an RE2 expression/],
      ["patterns: ['x*']", /does not match the empty text/],
      ["patterns: ['']", /expected an RE2 expression/],
      ['query: [""]', /name of a URL parameter/],
      ['headers: [Authorization]', /a secret as a whole/],
      ['headers: [Cookie]', /a secret as a whole/],
      ['headers: [X-Api-Key]', /a secret as a whole/],
      ['headers: [X-Amz-Security-Token]', /a secret as a whole/],
      ['headers: ["a b"]', /name of a header field/],
      ['header: []', /unknown key|header/],
    ] as const) {
      const { problems } = load(`redact: { ${written} }`)
      t.match(problems, [{ message: expected }], written)
    }
    t.end()
  },
)

void t.test('every bound of limits.ts can be set by file and by variable', (t) => {
  for (const name of Object.keys(DEFAULT_LIMITS)) {
    const variable = `SALLYPORT_LIMITS_${name.replaceAll(/(?=[A-Z])/g, '_').toUpperCase()}`
    const { limits } = loaded('', { environment: { [variable]: '1234' } })
    t.equal(Reflect.get(limits, name), 1234, variable)
  }
  t.end()
})

void t.test(
  'a flag goes before a variable, a variable before the file, the file before the default',
  (t) => {
    const text = 'listen: { proxy: "127.0.0.1:1" }'
    const port = (rest: Parameters<typeof load>[1]): number | undefined => {
      const { proxy } = loaded(text, rest).listen
      return proxy.kind === 'tcp' ? proxy.port : undefined
    }
    const environment = { SALLYPORT_LISTEN_PROXY: '127.0.0.1:2' }
    t.equal(port({}), 1)
    t.equal(port({ environment }), 2)
    t.equal(port({ environment, flags: { 'listen.proxy': '127.0.0.1:3' } }), 3)
    t.end()
  },
)

void t.test('a variable may be a list, a path, a number, or be read from a file', (t) => {
  const tokenFile = path.join(dir, 'intent')
  writeFileSync(tokenFile, 'From a file.\n')
  const config = loaded(TASK, {
    environment: {
      SALLYPORT_TASK_RULES: 'a, b',
      SALLYPORT_JOURNAL_DIR: 'elsewhere',
      SALLYPORT_JOURNAL_MAX_BYTES: '1GiB',
      SALLYPORT_JOURNAL_DENIALS_PER_TASK_PER_SECOND: '9',
      SALLYPORT_TASK_INTENT_FILE: tokenFile,
      SALLYPORT_SERVICE_HOST: '10.0.0.1',
    },
  })
  t.strictSame(config.task?.rules, ['a', 'b'])
  t.equal(config.task?.intent, 'From a file.')
  t.equal(config.journal.dir, path.resolve('elsewhere'), 'relative to where it was typed')
  t.equal(config.journal.maxBytes, 1024 ** 3)
  t.equal(config.journal.denialsPerTaskPerSecond, 9)
  t.end()
})

void t.test('what is wrong with a variable is told by its name', (t) => {
  t.match(load('', { environment: { SALLYPORT_JOURNAL_SYNC: 'never' } }).problems, [
    { file: 'SALLYPORT_JOURNAL_SYNC', code: 'invalid-value' },
  ])
  t.match(load('', { environment: { SALLYPORT_JOURNAL_DIR_FILE: '/absent' } }).problems, [
    { file: 'SALLYPORT_JOURNAL_DIR_FILE', code: 'file-unreadable' },
  ])
  t.match(
    load('', { environment: { SALLYPORT_LISTEN_PROXI: 'x' } }),
    {
      config: Object,
      problems: [{ severity: 'warning', hint: 'did you mean SALLYPORT_LISTEN_PROXY?' }],
    },
    'a slip is warned of, a stranger is not',
  )
  t.end()
})

void t.test('sinks are read with a name that their cursor is kept under', (t) => {
  const { sinks } = loaded(
    'sinks: [{ http: { url: "https://logs.test/in", headers: { Authorization: x }, filter: { verdict: deny } } }, { stdout: { all: true } }]',
  )
  t.match(sinks, [
    { kind: 'http', name: /^http-[0-9a-f]{12}$/, all: false, filter: { verdict: 'deny' } },
    { kind: 'stdout', name: 'stdout', all: true, filter: {}, onBacklogFull: 'deny' },
  ])
  t.match(found('sinks: [{ http: { url: "https://a.test", format: cef } }]'), [
    /sinks.0.http.format/,
  ])
  t.match(found('sinks: [{ http: { url: "https://a.test", onBacklogFull: drop } }]'), [
    /onBacklogFull/,
  ])
  t.match(found('sinks: [{ http: { url: "https://a.test" }, stdout: {} }]'), [/expected one sink/])
  t.match(found('sinks: [{}]'), [/expected one sink/])
  t.match(found('sinks: [{ http: { url: "https://u:p@a.test" } }]'), [/without user/])
  t.match(found('sinks: [{ stdout: {} }, { stdout: {} }]'), [/duplicate/])
  t.end()
})

void t.test(
  'every kind of sink says what it needs, and its secrets and files in its own words',
  (t) => {
    const { sinks } = loaded(
      `sinks:
      - file: { path: out/records.ndjson, rotateBytes: 1MiB, name: kept, backlogBytes: 5MiB }
      - http:
          url: https://a.test/in
          format: cloudevents
          compress: gzip
          headers: { Authorization: { env: SIEM }, X-B: { file: b.txt } }
          onBacklogFull: drop-with-gap-record
          filter: { host: ['*.API.test', b.test], tool: list_*, rule: set/id, action: call-denied, kind: alert, regulated: true }`,
    )
    t.match(sinks, [
      {
        kind: 'file',
        name: 'kept',
        path: path.join(dir, 'out/records.ndjson'),
        rotateBytes: 1024 ** 2,
        keep: 5,
        backlogBytes: 5 * 1024 ** 2,
      },
      {
        kind: 'http',
        format: 'cloudevents',
        compress: 'gzip',
        headers: { Authorization: { env: 'SIEM' }, 'X-B': { file: path.join(dir, 'b.txt') } },
        onBacklogFull: 'drop-with-gap-record',
        filter: {
          host: ['*.api.test', 'b.test'],
          tool: ['list_*'],
          rule: ['set/id'],
          action: ['call-denied'],
          kind: 'alert',
          regulated: true,
        },
      },
    ])
    t.match(found('sinks: [{ file: {} }]'), [/sinks.0.file.path/])
    t.match(found('sinks: [{ file: { path: a, name: A } }]'), [/lower-case/])
    t.match(
      found(
        'sinks: [{ file: { path: a } }, { file: { path: b, name: x } }, { stdout: { name: x } }]',
      ),
      [/duplicate/],
    )
    t.match(
      found(
        'sinks: [{ file: { path: a } }, { file: { path: b } }, { file: { path: a, name: x } }]',
      ),
      [/duplicate another sink writes this file/],
    )
    t.match(found('sinks: [{ http: { url: "https://a.test", headers: { a: { vault: b } } } }]'), [
      /expected printable ASCII, \{ env: NAME \} or \{ file: PATH \}/,
    ])
    t.match(found('sinks: [{ http: { url: "https://a.test", filter: { hosts: a } } }]'), [/host/])
    t.end()
  },
)

void t.test('what upstreams need is in normal form, and their roots are there', (t) => {
  writeFileSync(path.join(dir, 'root.pem'), '')
  const { upstream } = loaded(
    'upstream: { hosts: { API.Test.: [127.0.0.1, "::ffff:10.0.0.1"] }, resolver: [127.0.0.1, "[::1]:5353"], ca: [root.pem] }',
  )
  t.strictSame(upstream.hosts, { 'api.test': ['127.0.0.1', '10.0.0.1'] })
  t.strictSame(upstream.resolver, ['127.0.0.1:53', '[::1]:5353'])
  t.strictSame(upstream.caFiles, [path.join(dir, 'root.pem')])
  t.match(found('upstream: { ca: [absent.pem] }'), [/1:18 file-unreadable/])
  t.end()
})

void t.test('whose tokens and certificates prove a task is read with its files', (t) => {
  for (const name of ['keys.json', 'bundle.pem']) writeFileSync(path.join(dir, name), '')
  const jwt = (rest: string): string => `identity: { jwt: { audience: sallyport, ${rest} } }`
  t.strictSame(loaded('').identity, { token: true, jwt: undefined, clientCaFile: undefined })
  t.strictSame(loaded(jwt('jwks: keys.json')).identity.jwt, {
    issuer: undefined,
    audience: 'sallyport',
    jwks: { file: path.join(dir, 'keys.json') },
  })
  t.strictSame(
    loaded(jwt('issuer: "https://i.test", jwks: "https://i.test/keys?a=1"')).identity.jwt,
    {
      issuer: 'https://i.test',
      audience: 'sallyport',
      jwks: { url: 'https://i.test/keys?a=1' },
    },
  )
  for (const url of ['http://127.0.0.1:8080/keys', 'http://[::1]/keys'])
    t.ok(loaded(jwt(`jwks: "${url}"`)), url)
  for (const url of [
    'http://i.test/',
    'http://localhost/',
    'ftp://i.test/',
    'https://a@i.test/',
    'https://',
  ])
    t.match(found(jwt(`jwks: "${url}"`)), [/invalid-value .*loopback/], url)
  t.equal(
    loaded('identity: { mtls: { ca: bundle.pem } }').identity.clientCaFile,
    path.join(dir, 'bundle.pem'),
  )
  t.match(found(jwt('jwks: absent.json')), [/file-unreadable cannot read .*absent.json/])
  t.match(found('identity: { mtls: { ca: absent.pem } }'), [/1:25 file-unreadable/])
  t.match(found('identity: { jwt: { jwks: keys.json } }'), [/missing-key .*audience/])
  t.match(found('identity: { mtls: {} }'), [/missing-key .*identity.mtls.ca/])
  const environment = {
    SALLYPORT_IDENTITY_JWT_AUDIENCE: 'a',
    SALLYPORT_IDENTITY_JWT_JWKS: 'https://i.test/keys',
    SALLYPORT_IDENTITY_MTLS_CA: path.join(dir, 'bundle.pem'),
  }
  t.match(loaded('', { environment }).identity, {
    jwt: { audience: 'a', jwks: { url: 'https://i.test/keys' } },
    clientCaFile: path.join(dir, 'bundle.pem'),
  })
  t.end()
})

void t.test('a file that is no YAML, or uses what hides, is refused with its place', (t) => {
  t.match(found('listen: { proxy: '), [/yaml-syntax/])
  t.match(found('rules: {}\nrules: {}'), [/2:1 duplicate-key/])
  t.match(found('a: &x {}\nlisten: *x'), [/2:9 yaml-alias/])
  t.match(found('- a'), [/1:1 invalid-value/])
  t.end()
})

void t.test('what is of the wrong kind is told in the words of the file', (t) => {
  for (const [text, message, hint] of [
    ['credentials: [a]', '`credentials`: expected a mapping'],
    ['sinks: { a: b }', '`sinks`: expected a list'],
    ['journal: 5', '`journal`: expected a mapping'],
    ['journal: { sync: disc }', '`journal.sync`: expected process or disk', 'did you mean `disk`?'],
    [
      'profiles: { a: { data: confidental } }',
      '`profiles.a.data`: expected public, internal, confidential or restricted',
      'did you mean `confidential`?',
    ],
  ] as const)
    t.match(load(text).problems, [{ message, ...(hint && { hint }) }], text)
  t.strictSame(load('journal: { sync: disk }').problems, [])
  t.end()
})
