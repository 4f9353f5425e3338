// `sallyport doctor --inside` in namespaces of the test's own: sealed sandboxes pass. Holes that are opened on purpose have tests
// of their own beside this one. Nothing leaves the namespaces.

import t from 'tap'

import { findsOnly, passes, sealed } from '../fixtures/sealed.ts'

const ANY_ADDRESS = ['ip route add local 0.0.0.0/0 dev lo', 'ip -6 route add local ::/0 dev lo']

sealed(t, 'R45: a sealed namespace with loopback alone passes', {}, (sandbox, t) =>
  passes(sandbox, t),
)

sealed(
  t,
  'R45: a sealed namespace that keeps every address passes, with the targets of no test',
  { setup: ANY_ADDRESS },
  (sandbox, t) => passes(sandbox, t, { targets: [] }),
)

sealed(
  t,
  'R45: a sealed namespace whose connections are intercepted passes, and each is told to be the sidecar',
  {
    setup: ANY_ADDRESS,
    config:
      "listen: { socks: '127.0.0.1:1080', transparent: { http: '[::]:80', tls: '[::]:443', dns: '0.0.0.0:53' } }",
    task: "identity: { sources: ['0.0.0.0/0', '::/0'] }",
  },
  async (sandbox, t) => {
    const { status, failed, findings } = await sandbox.doctor()
    t.strictSame(failed, [])
    t.equal(status, 0)
    const intercepted = findings.filter(({ means }) => means === 'intercepted')
    for (const address of ['1.1.1.1', '2606:4700:4700::1111'])
      for (const tried of [`HTTP to ${address}, port 80`, `TLS to ${address}, port 443`])
        t.ok(
          intercepted.some((one) => one.tried === tried),
          tried,
        )
    for (const tried of ['DNS over UDP to 1.1.1.1', 'DNS over TCP to 127.0.0.1'])
      t.match(
        findings.find((one) => one.tried === tried),
        { status: 'ok', means: "the sidecar's own door" },
        tried,
      )
    t.ok(
      intercepted.some((one) => one.tried === 'metadata at 169.254.169.254'),
      'also where metadata would be',
    )
  },
)

sealed(
  t,
  'I6: a control API that listens on loopback is found',
  {
    config: 'control: { listen: 127.0.0.1:9999, tokenFile: control.token }',
    files: { 'control.token': `${'t'.repeat(40)}\n` },
  },
  (sandbox, t) => findsOnly(sandbox, t, /^loopback: the listener at 127\.0\.0\.1, port 9999: /),
)

sealed(t, 'R45: without the sidecar nothing is proved', {}, (sandbox, t) =>
  findsOnly(sandbox, t, /^proxy: .*(no answer|no variable names a proxy)/, {
    env: Object.fromEntries(
      ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'].map(
        (name) => [name, undefined],
      ),
    ),
  }),
)
