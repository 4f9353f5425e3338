// Proves `env`: every variable, quoted so that each reader takes it as it is.

import { execFileSync } from 'node:child_process'
import path from 'node:path'

import t from 'tap'
import { parse } from 'yaml'

import { clientVariables } from '../../../src/config/client-variables.ts'
import { SHELLS, writeVariables } from '../../../src/cli/shells.ts'
import { CONFIGURATION, run, type Ran } from './support.ts'

type Tap = Pick<typeof t, 'testdir'>

function env(t: Tap, configuration: string, ...words: string[]): Promise<Ran> {
  const dir = t.testdir({ 'sallyport.yaml': configuration })
  return run(['env', ...words, '--config', path.join(dir, 'sallyport.yaml')])
}

void t.test(
  'clients are told the proxy in both cases, and nothing but the sandbox itself goes around it',
  (t) => {
    const variables = clientVariables({
      proxy: { host: '127.0.0.1', port: 3128 },
      caFile: '/c/ca.crt',
      bundleFile: '/c/bundle.crt',
    })
    for (const name of ['http_proxy', 'https_proxy', 'all_proxy']) {
      t.equal(variables[name], 'http://127.0.0.1:3128')
      t.equal(variables[name.toUpperCase()], variables[name])
    }
    t.equal(variables['NO_PROXY'], 'localhost,127.0.0.1,::1')
    t.equal(variables['no_proxy'], variables['NO_PROXY'])
    t.equal(variables['NODE_USE_ENV_PROXY'], '1')
    t.match(
      variables['JAVA_TOOL_OPTIONS'],
      /-Dhttps\.proxyHost=127\.0\.0\.1 -Dhttps\.proxyPort=3128/,
    )
    t.end()
  },
)

void t.test(
  'what replaces roots names the bundle, what adds to them our certificate alone',
  (t) => {
    const variables = clientVariables({
      proxy: undefined,
      caFile: '/c/ca.crt',
      bundleFile: '/c/bundle.crt',
    })
    // prettier-ignore
    const replacing = [
    'SSL_CERT_FILE', 'CURL_CA_BUNDLE', 'GIT_SSL_CAINFO', 'REQUESTS_CA_BUNDLE', 'PIP_CERT', 'AWS_CA_BUNDLE',
    'CARGO_HTTP_CAINFO', 'NIX_SSL_CERT_FILE', 'npm_config_cafile', 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  ]
    for (const name of replacing) t.equal(variables[name], '/c/bundle.crt', name)
    for (const name of ['NODE_EXTRA_CA_CERTS', 'DENO_CERT'])
      t.equal(variables[name], '/c/ca.crt', name)
    t.notOk('HTTP_PROXY' in variables)
    t.end()
  },
)

void t.test('an IPv6 proxy is written in brackets', (t) => {
  const variables = clientVariables({
    proxy: { host: '::1', port: 3128 },
    caFile: 'c',
    bundleFile: 'b',
  })
  t.equal(variables['https_proxy'], 'http://[::1]:3128')
  t.end()
})

const AWKWARD = { PLAIN: 'a', QUOTES: `it's "so"`, SHELL: '$HOME `x` \\ !* #', SPACES: ' a  b ' }

void t.test('a shell that evaluates the text has the very values', (t) => {
  const names = Object.keys(AWKWARD)
  const script = `${writeVariables(AWKWARD, 'sh')}printf '%s\\0' ${names.map((name) => `"$${name}"`).join(' ')}`
  const printed = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' })
  t.strictSame(printed.split('\0').slice(0, -1), Object.values(AWKWARD))
  t.equal(writeVariables({ A: `it's \\` }, 'fish'), String.raw`set -gx A 'it\'s \\'` + '\n')
  t.end()
})

void t.test(
  'JSON and Kubernetes readers have the very values, an --env-file is not quoted',
  (t) => {
    t.strictSame(JSON.parse(writeVariables(AWKWARD, 'json')), AWKWARD)
    const list: { name: string; value: string }[] = parse(writeVariables(AWKWARD, 'k8s'))
    t.strictSame(Object.fromEntries(list.map(({ name, value }) => [name, value])), AWKWARD)
    t.equal(writeVariables({ QUOTES: `it's "so"` }, 'docker'), `QUOTES=it's "so"\n`)
    t.throws(() => writeVariables({ A: 'a\nb' }, 'docker'), /cannot be written/)
    t.end()
  },
)

void t.test('every shell is served, and no other', async (t) => {
  for (const shell of SHELLS)
    t.match(await env(t, CONFIGURATION, '--shell', shell), { code: 0, out: /HTTPS_PROXY/ })
  t.match(await env(t, CONFIGURATION, '--shell', 'cmd'), { code: 2 })
})

void t.test(
  'a placeholder a credential, the same each time, another for another task',
  async (t) => {
    const dir = t.testdir({
      'a.yaml': CONFIGURATION,
      'b.yaml': CONFIGURATION.replace('Read', 'Write'),
      'c.yaml': CONFIGURATION.replace(/^task:[^]*/m, ''),
    })
    const placeholder = async (file: string): Promise<string | undefined> => {
      const { out } = await run(['env', '--shell', 'json', '--config', path.join(dir, file)], {
        API_TOKEN: 'a-real-secret-value',
      })
      t.notMatch(out, /a-real-secret-value/, 'the secret itself is not printed')
      const variables: Record<string, string> = JSON.parse(out)
      return variables['API_TOKEN']
    }
    const first = await placeholder('a.yaml')
    t.match(first, /^sallyport_api_[A-Za-z0-9]{32}$/)
    t.equal(await placeholder('a.yaml'), first)
    t.not(await placeholder('b.yaml'), first)
    t.equal(await placeholder('c.yaml'), undefined, 'without a task there are none')
  },
)

void t.test('a unix socket has no variable, and env says so', async (t) => {
  const { code, out, err } = await env(t, `listen: { proxy: "unix:p.sock" }\n${CONFIGURATION}`)
  t.equal(code, 1)
  t.notMatch(out, /HTTP_PROXY/)
  t.match(out, /SSL_CERT_FILE/)
  t.match(err, /unix:.*p\.sock, which no variable can name/)
})

void t.test(
  'an address that means all is reached by loopback, and port 0 is not known yet',
  async (t) => {
    const shared = `listen: { proxy: "0.0.0.0:3128" }\n${CONFIGURATION}  identity: { sources: [127.0.0.0/8] }\n`
    t.match(await env(t, shared), { code: 0, out: /HTTPS_PROXY='http:\/\/127\.0\.0\.1:3128'/ })
    t.match(await env(t, `listen: { proxy: "127.0.0.1:0" }\n${CONFIGURATION}`), {
      code: 2,
      err: /port 0/,
    })
  },
)

void t.test('another task than the static one is asked for at the control API', async (t) => {
  t.match(await env(t, CONFIGURATION, '--task', 't_other'), {
    code: 1,
    err: /the control API at unix:.* does not answer/,
  })
})
