// Proves that the keys of a configuration are had from where it says: a file, or a URL by our own dialer.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'

import type { JwtDefinition } from '../../../src/config/config.ts'
import { makeJwtVerifier, readTrustBundle } from '../../../src/config/identity.ts'
import type { JwtVerifier } from '../../../src/identify/jwt.ts'
import { makePki } from '../../fixtures/pki.ts'
import { startHttp } from '../../fixtures/upstreams.ts'
import { makeDialer } from '../net/support.ts'

const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-identity-'))
t.teardown(() => rmSync(directory, { recursive: true }))
const pki = makePki()
const { publicKey, privateKey } = await generateKeyPair('ES256')
const keySet = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'a' }] })
const token = await new SignJWT({ sub: 'system:serviceaccount:agents:triage', aud: ['sallyport'] })
  .setProtectedHeader({ alg: 'ES256', kid: 'a' })
  .setExpirationTime('5m')
  .sign(privateKey)

function verifierFor(jwks: JwtDefinition['jwks']): JwtVerifier | undefined {
  const dialer = makeDialer({ hosts: { 'issuer.test': ['127.0.0.1'] }, roots: [pki.caPem] })
  const jwt = { issuer: undefined, audience: 'sallyport', jwks }
  return makeJwtVerifier({ identity: { jwt } }, dialer, Date.now)
}

const subject = async (jwks: JwtDefinition['jwks']): Promise<string | undefined> =>
  (await verifierFor(jwks)?.verify(token))?.subject

const unavailable = { name: 'EgressError', message: /identity-unknown/ }

void t.test('without identity.jwt there is no verifier', (t) => {
  const identity = { jwt: undefined }
  t.equal(makeJwtVerifier({ identity }, makeDialer(), Date.now), undefined)
  t.end()
})

void t.test('keys in a file', async (t) => {
  const file = path.join(directory, 'keys.json')
  writeFileSync(file, keySet)
  t.equal(await subject({ file }), 'system:serviceaccount:agents:triage')
  for (const text of [
    '',
    '[]',
    'null',
    '{"keys":{}}',
    `{"keys":[],"a":"${'x'.repeat(2 ** 20)}"}`,
  ]) {
    writeFileSync(file, text)
    await t.rejects(subject({ file }), unavailable, text.slice(0, 20))
  }
  await t.rejects(subject({ file: path.join(directory, 'absent') }), unavailable)
})

void t.test('keys behind an https: URL whose host is verified', async (t) => {
  const answers = [200, 200, 404, 302]
  const upstream = await startHttp({
    tls: pki.issue({ names: ['issuer.test'] }),
    handler: () => ({
      status: answers.shift() ?? 500,
      headers: ['Location', 'https://issuer.test/'],
      body: keySet,
    }),
  })
  t.teardown(() => upstream.close())
  const at = (host: string): JwtDefinition['jwks'] => ({
    url: `https://${host}:${upstream.port}/k`,
  })
  t.ok(await subject(at('issuer.test')))
  await t.rejects(subject(at('127.0.0.1')), unavailable, 'a certificate for another name')
  t.ok(await subject(at('issuer.test')))
  await t.rejects(subject(at('issuer.test')), unavailable, '404')
  await t.rejects(subject(at('issuer.test')), unavailable, '302')
  t.equal(answers.length, 0)
})

void t.test('a trust bundle that holds no certificate is no bundle', (t) => {
  const clientCaFile = path.join(directory, 'bundle.pem')
  const read = (): string | undefined =>
    readTrustBundle({ identity: { token: true, jwt: undefined, clientCaFile } })
  t.equal(
    readTrustBundle({
      identity: { token: true, jwt: undefined, clientCaFile: undefined },
    }),
    undefined,
  )
  writeFileSync(clientCaFile, `${pki.caPem}${makePki().caPem}`)
  t.match(read(), pki.caPem)
  writeFileSync(clientCaFile, 'nothing')
  t.throws(read, /`identity.mtls.ca` holds no certificate/)
  writeFileSync(clientCaFile, pki.caPem.replace(/MII\w{9}/, 'MIIAAAAAAAAA'))
  t.throws(read, /`identity.mtls.ca` holds a certificate that cannot be read/)
  t.end()
})
