import t from 'tap'

import { credentialSchema } from '../../../../src/config/credentials/credential-schema.ts'
import { resolveSource } from '../../../../src/config/credentials/resolve-source.ts'
import { localSourcesOf } from '../../../../src/credentials/source-definition.ts'

const read = (source: unknown): ReturnType<typeof credentialSchema.safeParse> =>
  credentialSchema.safeParse({ source, inject: { bearer: true }, hosts: ['api.test'] })
const problem = (source: unknown): string =>
  read(source)
    .error?.issues.map(({ message }) => message)
    .join() ?? ''

void t.test('a program, what takes back, and what both are given', async (t) => {
  const { source } = read({
    exec: { command: ['./mint', '--x', './y'], revoke: ['unmint', '/z'], env: ['TOKEN', 'HOME'] },
  }).data!
  t.strictSame(
    resolveSource(source, (written) => `/etc/sallyport/${written}`),
    {
      kind: 'exec',
      command: ['/etc/sallyport/./mint', '--x', './y'],
      revoke: ['unmint', '/z'],
      env: ['TOKEN', 'HOME'],
      isStatic: false,
    },
  )
  t.strictSame(localSourcesOf(source), [{ env: 'TOKEN' }])
  t.match(read({ exec: { command: ['mint'], static: true } }).data, { source: { isStatic: true } })
})

void t.test('what is refused says why', async (t) => {
  t.match(problem({ exec: { command: [] } }), /expected a program and its arguments/)
  t.match(problem({ exec: { command: 'mint --x' } }), /expected array/)
  t.match(problem({ exec: { command: ['mint'], static: false } }), /expected true/)
  t.match(problem({ exec: { command: ['a'], revoke: ['b'], static: true } }), /write `revoke` or/)
  t.match(problem({ exec: { command: ['a'] }, env: 'X' }), /expected one source/)
  t.match(problem({ exec: { command: ['a'] }, format: 'json' }), /has a format/)
  t.match(problem({ exec: { command: ['a\0'] } }), /control characters/)
  for (const name of ['PATH', 'LD_PRELOAD', 'NODE_OPTIONS', 'SALLYPORT_TASK', 'BASH_ENV'])
    t.match(problem({ exec: { command: ['a'], env: [name] } }), /cannot be passed on/, name)
})
