// Which variables a command in a sandbox is given.

import t from 'tap'

import { sandboxEnvironment, type EnvironmentFacts } from '../../../src/sandbox/environment.ts'

const FACTS: EnvironmentFacts = {
  outer: {},
  clients: { HTTPS_PROXY: 'http://127.0.0.1:3128', API_KEY: 'key_placeholder' },
  secretNames: [],
  workDir: '/work',
  isVisible: (path) => path !== '/tmp/mine',
}

void t.test('an allowlist passes, and nothing that looks like it', (t) => {
  const outer = {
    PATH: '/bin',
    LC_ALL: 'C',
    LC_: 'x',
    lc_all: 'x',
    HOME: '/home/u',
    HOME_TOKEN: 'x',
    BASH_ENV: 'x',
    ENV: 'x',
    LD_LIBRARY_PATH: 'x',
    NODE_OPTIONS: 'x',
    SSH_AUTH_SOCK: 'x',
    XDG_RUNTIME_DIR: 'x',
    PWD: '/elsewhere',
    TMPDIR: '/tmp/mine',
    EDITOR: undefined,
  }
  t.strictSame(sandboxEnvironment({ ...FACTS, outer }), {
    PATH: '/bin',
    LC_ALL: 'C',
    HOME: '/home/u',
    HTTPS_PROXY: 'http://127.0.0.1:3128',
    API_KEY: 'key_placeholder',
    PWD: '/work',
  })
  t.match(sandboxEnvironment({ ...FACTS, outer: { TMPDIR: '/work/tmp' } }), { TMPDIR: '/work/tmp' })
  t.match(sandboxEnvironment(FACTS)['PATH'], '/usr/bin', 'there is always a path')
  t.end()
})

void t.test(
  'what a secret is read from is its placeholder or is not there, whatever it is called',
  (t) => {
    const outer = { EDITOR: 'secret', LC_NAME: 'secret', API_KEY: 'secret', PAGER: 'less' }
    const secretNames = ['EDITOR', 'LC_NAME', 'API_KEY']
    const given = sandboxEnvironment({ ...FACTS, outer, secretNames })
    t.notOk(Object.values(given).includes('secret'))
    t.match(given, { API_KEY: 'key_placeholder', PAGER: 'less' })
    t.end()
  },
)
