// Proves how callers are recognised: token files as they are and as they change, client certificates, names of TLS.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { ControlServer } from '../../../src/control/server.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { makeControlParts } from '../../fixtures/control.ts'
import { makePki, type Issued } from '../../fixtures/pki.ts'
import { portOf } from '../../fixtures/port.ts'
import { startControl, tokenOf } from './support.ts'

void t.test(
  'a token is read again when its file changes, and is worth nothing without it',
  async (t) => {
    const control = await startControl(t)
    const file = path.join(control.directory, 'administrator.token')
    const status = async (token: string): Promise<number> => {
      const headers = { Authorization: `Bearer ${token}` }
      return (await control.ask('GET', '/v1/rules', undefined, { headers })).status
    }
    t.equal(await status(tokenOf('administrator')), 200)
    writeFileSync(file, 'another-token-0123456789\n')
    t.equal(await status(tokenOf('administrator')), 401)
    t.equal(await status('another-token-0123456789'), 200)
    writeFileSync(file, 'short\n')
    t.equal(await status('short'), 401)
    rmSync(file)
    t.equal(await status('another-token-0123456789'), 401)
    writeFileSync(file, 'third-token-0123456789ab\n', { mode: 0o644 })
    t.equal(await status('third-token-0123456789ab'), 200)
    t.match(control.warnings.join('\n'), /no token of 16/)
    t.match(control.warnings.join('\n'), /cannot be read/)
    t.match(control.warnings.join('\n'), /can be read by others/)
    t.notMatch(control.warnings.join('\n'), /0123456789/, 'no token is in a warning')
  },
)

void t.test('a listener that could recognise nobody, or two in one, does not start', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-control-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const file = (name: string, text: string): string => {
    const at = path.join(directory, name)
    writeFileSync(at, text, { mode: 0o600 })
    return at
  }
  const start = async (tokenFile: string | undefined, ...files: string[]): Promise<void> => {
    const server = new ControlServer({
      parts: makeControlParts().parts,
      tokenFile,
      principals: files.map((at, index) => ({
        name: `p${index}`,
        roles: ['viewer'],
        teams: [],
        proof: { kind: 'token', file: at },
      })),
      tls: undefined,
      limits: DEFAULT_LIMITS,
      version: '1',
      warn: () => undefined,
      onUnexpected: () => undefined,
    })
    t.teardown(() => server.close())
    await server.listen({ host: '127.0.0.1', port: 0 })
  }
  const good = file('good', 'a-token-0123456789')
  await start(good)
  await start(undefined, good, file('other', 'b-token-0123456789'))
  await t.rejects(start(undefined), /needs `control.tokenFile`/)
  await t.rejects(start(path.join(directory, 'absent')), /cannot be read/)
  await t.rejects(start(file('short', 'short')), /16 or more/)
  await t.rejects(start(file('large', 'x'.repeat(5000))), /too large/)
  await t.rejects(start(undefined, good, file('same', 'a-token-0123456789')), /the same token/)
})

void t.test('over TLS a principal is known by its certificate, or by its token', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-control-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const [pki, stranger] = [makePki(), makePki()]
  const file = (name: string, text: string): string => {
    const at = path.join(directory, name)
    writeFileSync(at, text, { mode: 0o600 })
    return at
  }
  const own = pki.issue({ names: ['control.test'], ips: ['127.0.0.1'] })
  const server = new ControlServer({
    parts: makeControlParts().parts,
    tokenFile: undefined,
    principals: [
      {
        name: 'spiffe',
        roles: ['operator'],
        teams: [],
        proof: { kind: 'mtls', subject: 'spiffe://acme/ops' },
      },
      {
        name: 'named',
        roles: ['viewer'],
        teams: [],
        proof: { kind: 'mtls', subject: 'ops-laptop' },
      },
      {
        name: 'token',
        roles: ['viewer'],
        teams: [],
        proof: { kind: 'token', file: file('t', tokenOf('token')) },
      },
    ],
    tls: {
      certFile: file('cert.pem', own.certPem),
      keyFile: file('key.pem', own.keyPem),
      clientCaFile: file('ca.pem', pki.caPem),
    },
    limits: DEFAULT_LIMITS,
    version: '1',
    warn: () => undefined,
    onUnexpected: (error) => t.fail(String(error)),
  })
  t.teardown(() => server.close())
  await server.listen({ host: '127.0.0.1', port: 0 })
  const port = portOf(server)
  const ask = (
    method: string,
    certificate: Issued | undefined,
    headers: Record<string, string> = {},
    at = '/v1/rules',
  ): Promise<number> =>
    new Promise((resolve, reject) => {
      const asked = https.request(
        {
          host: '127.0.0.1',
          port,
          path: at,
          method,
          ca: pki.caPem,
          servername: 'control.test',
          agent: false,
          headers,
          ...(certificate && { cert: certificate.certPem, key: certificate.keyPem }),
        },
        (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        },
      )
      asked.on('error', reject)
      asked.end()
    })
  const operator = pki.issue({ usage: 'clientAuth', uris: ['spiffe://acme/ops'] })
  t.equal(await ask('GET', operator), 200)
  t.equal(await ask('POST', operator, {}, '/v1/rules/reload'), 200)
  const viewer = pki.issue({ usage: 'clientAuth', commonName: 'ops-laptop' })
  t.equal(await ask('GET', viewer), 200)
  t.equal(await ask('POST', viewer, {}, '/v1/rules/reload'), 403)
  t.equal(await ask('GET', undefined), 401, 'no certificate')
  t.equal(await ask('GET', pki.issue({ usage: 'clientAuth', uris: ['spiffe://acme/other'] })), 401)
  const both = pki.issue({
    usage: 'clientAuth',
    commonName: 'ops-laptop',
    uris: ['spiffe://acme/other'],
  })
  t.equal(await ask('GET', both), 401, 'a URI speaks where there is one')
  const forged = stranger.issue({ usage: 'clientAuth', uris: ['spiffe://acme/ops'] })
  t.equal(await ask('GET', forged), 401, 'another CA’s')
  t.equal(await ask('GET', pki.issue({ commonName: 'ops-laptop' })), 401, 'a server’s')
  t.equal(await ask('GET', undefined, { Authorization: `Bearer ${tokenOf('token')}` }), 200)
  t.equal(await ask('GET', operator, { Authorization: 'Bearer wrong-token-0123456789' }), 401)
  t.equal(
    await ask('GET', operator, { Host: `control.test:${port}` }),
    200,
    'the certificate bears it',
  )
  t.equal(await ask('GET', operator, { Host: `evil.test:${port}` }), 400)
})
