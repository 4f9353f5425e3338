import t from 'tap'

import { credentialSchema } from '../../../../src/config/credentials/credential-schema.ts'
import { resolveSource } from '../../../../src/config/credentials/resolve-source.ts'
import { localSourcesOf } from '../../../../src/credentials/source-definition.ts'

const address = 'https://vault.test:8200/'
const login = { appRole: { roleId: 'r', secretId: { file: 'id' } } }
const kv = { path: 'apps/web', field: 'token' }
const read = (vault: unknown): ReturnType<typeof credentialSchema.safeParse> =>
  credentialSchema.safeParse({ source: { vault }, inject: { bearer: true }, hosts: ['api.test'] })
const problem = (vault: unknown): string =>
  read(vault)
    .error?.issues.map(({ message }) => message)
    .join() ?? ''

void t.test('where it is, how one logs in, what is asked', async (t) => {
  const { source } = read({ address, login, kv, ca: 'ca.pem', namespace: 'a/b' }).data!
  t.strictSame(
    resolveSource(source, (written) => `/etc/${written}`),
    {
      kind: 'vault',
      address: 'https://vault.test:8200',
      namespace: 'a/b',
      login: { kind: 'appRole', mount: 'approle', roleId: 'r', secret: { file: '/etc/id' } },
      ask: { kind: 'kv', mount: 'secret', path: 'apps/web', fields: { value: 'token' } },
      caFile: '/etc/ca.pem',
    },
  )
  t.strictSame(localSourcesOf(source), [{ file: 'id' }])
  const lease = { path: 'aws/sts/{role}', parameters: { a: '{b}' }, ttlParameter: 'ttl' }
  t.match(read({ address, login: { kubernetes: { role: 'r' } }, lease }).data, {
    source: {
      login: {
        kind: 'kubernetes',
        mount: 'kubernetes',
        role: 'r',
        secret: { file: /serviceaccount/ },
      },
      ask: { kind: 'lease', ...lease },
    },
  })
})

void t.test('what is refused says why', async (t) => {
  t.match(problem({ address, login }), /expected one of kv and lease/)
  t.match(problem({ address, login: { token: { env: 'A' }, ...login }, kv }), /one way to log in/)
  t.match(problem({ address: 'http://vault.test', login, kv }), /expected https/)
  t.match(problem({ address: 'https://vault.test?x', login, kv }), /without a query/)
  t.match(problem({ address, login, kv: { ...kv, path: 'apps/{repo}' } }), /the same for all tasks/)
  t.match(problem({ address, login, kv: { path: 'a' } }), /expected one of field and fields/)
  for (const path of ['/a', 'a//b', 'a/../b', 'a?b', 'a%2f', 'a/'])
    t.match(problem({ address, login, lease: { path } }), /expected a path/, path)
  t.match(problem({ address, login: { jwt: { role: 'r' } }, kv }), /expected/)
})
