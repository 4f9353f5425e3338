// Proves that what is written is a trust store to those who read it: OpenSSL, and Java, for which it is.

import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import tls from 'node:tls'

import t from 'tap'

import { makeTrustStore } from '../../../src/tls/trust-store.ts'

const roots = tls.rootCertificates.slice(0, 20)
const hasJava = spawnSync('keytool', ['-help'], { timeout: 20_000 }).status === 0
const fingerprints = roots.map((pem) => new X509Certificate(pem).fingerprint256).toSorted()

void t.test('openssl finds every certificate, without a password', (t) => {
  const file = path.join(t.testdir({}), 'store.p12')
  writeFileSync(file, makeTrustStore(roots))
  const words = ['pkcs12', '-in', file, '-nokeys', '-passin', 'pass:', '-nomacver']
  const { status, stdout, stderr } = spawnSync('openssl', words, { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  const found = stdout.match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g) ?? []
  t.strictSame(found.map((pem) => new X509Certificate(pem).fingerprint256).toSorted(), fingerprints)
  t.end()
})

void t.test('Java trusts every certificate', { skip: !hasJava && 'no keytool here' }, (t) => {
  const file = path.join(t.testdir({}), 'store.p12')
  writeFileSync(file, makeTrustStore(roots))
  const words = ['-list', '-keystore', file, '-storetype', 'PKCS12', '-storepass', '']
  const { stdout } = spawnSync('keytool', words, {
    encoding: 'utf8',
    env: process.env,
    input: '\n',
  })
  t.equal(stdout.match(/trustedCertEntry/g)?.length, roots.length, stdout)
  for (const one of fingerprints) t.match(stdout, one)
  t.end()
})

void t.test('the same certificates make the same bytes, and none make a store of none', (t) => {
  t.strictSame(makeTrustStore(roots), makeTrustStore(roots))
  t.equal(makeTrustStore([]).toString('hex').slice(0, 2), '30')
  t.end()
})
