// Proves that leaves pass the strict checks of OpenSSL, of Node and of Python for every kind of host.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  X509Certificate,
  type KeyObject,
} from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import tls from 'node:tls'

import t from 'tap'

import { loadOrMakeCa, type Ca } from '../../../src/tls/ca.ts'
import { keyIdOf } from '../../../src/tls/issuer.ts'
import { mintLeaf } from '../../../src/tls/leaf.ts'
import { normalizeHost } from '../../../src/wire/authority.ts'
import { portOf } from '../../fixtures/port.ts'

const DAY_MS = 86_400_000
const dir = t.testdir({})
const leafKey = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
const ca: Ca = loadOrMakeCa({
  dir: path.join(dir, 'certs'),
  keyFile: path.join(dir, 'state/ca.key'),
  lifetimeMs: 30 * DAY_MS,
  now: Date.now,
})

const LONG = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.example.test`
const HOSTS = [
  'api.example.test',
  'localhost',
  `${'a'.repeat(58)}.example`, // 66 characters: more than a common name holds
  LONG,
  'under_score.example.test',
  'xn--bcher-kva.example.test',
  '127.0.0.1',
  '[::1]',
  '[2001:db8::42]',
]

function mint(host: string, now = Date.now()): { certPem: string; notAfter: number } {
  return mintLeaf(ca, [normalizeHost(host)], leafKey, now)
}

void t.test('a certificate of any size says how long it is', (t) => {
  for (const count of [1, 2, 5, 12, 300, 5000]) {
    const names = Array.from({ length: count }, (_, number) => `n${number}.example.test`)
    const hosts = names.map((host) => ({ host, kind: 'name' }) as const)
    const { certPem } = mintLeaf(ca, hosts, leafKey, Date.now())
    const certificate = new X509Certificate(certPem)
    t.ok(certificate.verify(createPublicKey(ca.key)))
    t.equal(certificate.subjectAltName, names.map((name) => `DNS:${name}`).join(', '))
  }
  t.end()
})

void t.test(
  'every kind of host has a leaf that OpenSSL verifies strictly, for that host alone',
  (t) => {
    for (const host of HOSTS) {
      const { kind, host: name } = normalizeHost(host)
      const file = path.join(dir, 'leaf.crt')
      writeFileSync(file, mint(host).certPem)
      const verify = (...words: string[]): number | null =>
        spawnSync('openssl', [
          'verify',
          '-x509_strict',
          '-purpose',
          'sslserver',
          ...words,
          '-CAfile',
          ca.certFile,
          file,
        ]).status
      t.equal(verify(kind === 'name' ? '-verify_hostname' : '-verify_ip', name), 0, name)
      t.not(verify('-verify_hostname', 'other.test'), 0, `${name}: no other name`)
      t.not(verify('-verify_ip', '192.0.2.1'), 0, `${name}: no other address`)
    }
    t.end()
  },
)

void t.test('a leaf says no more than it must', (t) => {
  const leaf = new X509Certificate(mint('api.example.test').certPem)
  t.notOk(leaf.ca)
  t.equal(leaf.subject, undefined, 'no subject')
  t.equal(leaf.subjectAltName, 'DNS:api.example.test')
  t.strictSame(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1'], 'for servers only')
  t.ok(leaf.checkIssued(new X509Certificate(ca.certPem)))
  t.ok(leaf.verify(new X509Certificate(ca.certPem).publicKey))
  t.ok(leaf.checkPrivateKey(leafKey))
  const text = execFileSync('openssl', ['x509', '-noout', '-text'], {
    input: leaf.toString(),
    encoding: 'utf8',
  })
  t.match(text, /Subject Alternative Name: critical/, 'critical, because there is no subject')
  t.match(text, /Key Usage: critical\s+Digital Signature\n/)
  t.match(text, /Basic Constraints: critical\s+CA:FALSE/)
  t.match(text, /X509v3 Subject Key Identifier/)
  t.match(text, /X509v3 Authority Key Identifier/)
  t.match(text, /Signature Algorithm: ecdsa-with-SHA256/)
  t.equal(
    new X509Certificate(mint('[2001:db8::42]').certPem).subjectAltName,
    'IP Address:2001:DB8:0:0:0:0:0:42',
  )
  t.end()
})

void t.test('a leaf lives a day, and never longer than its CA', (t) => {
  const now = Date.now()
  const leaf = new X509Certificate(mint('api.test', now).certPem)
  t.ok(Math.abs(leaf.validFromDate.getTime() - (now - 3_600_000)) < 1001, 'from an hour ago')
  t.ok(Math.abs(leaf.validToDate.getTime() - (now + DAY_MS)) < 1001)
  const late = ca.notAfter - 3_600_000
  const last = mint('api.test', late)
  t.equal(last.notAfter, ca.notAfter)
  t.ok(new X509Certificate(last.certPem).validToDate.getTime() <= ca.notAfter)
  t.end()
})

void t.test('serials are positive and never the same', (t) => {
  const serials = Array.from(
    { length: 100 },
    () => new X509Certificate(mint('api.test').certPem).serialNumber,
  )
  t.equal(new Set(serials).size, serials.length)
  t.ok(serials.every((serial) => /^[4-7][0-9A-F]{31}$/.test(serial)))
  t.end()
})

void t.test(
  'the identifier of a key is right for every key, also for one that looks like a structure',
  (t) => {
    // A point whose first byte is 0x3f reads as an octet string of exactly the rest: one key in 256.
    const isTricky = (key: KeyObject): boolean => pointOf(key)[1] === 0x3f
    let tricky: KeyObject | undefined
    for (let tries = 0; tries < 5000 && tricky === undefined; tries += 1) {
      const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
      if (isTricky(publicKey)) tricky = publicKey
    }
    for (const key of [createPublicKey(leafKey), ...(tricky ? [tricky] : [])])
      t.strictSame(keyIdOf(key), createHash('sha1').update(pointOf(key)).digest())
    t.ok(tricky, 'such a key was tried')
    t.end()
  },
)

void t.test('dates from 2050 on are written the longer way and read back right', (t) => {
  const far = loadOrMakeCa({
    dir: path.join(dir, 'far'),
    keyFile: path.join(dir, 'far-state/ca.key'),
    lifetimeMs: 30 * 365 * DAY_MS,
    now: Date.now,
  })
  const certificate = new X509Certificate(far.certPem)
  t.equal(certificate.validToDate.getTime(), far.notAfter)
  t.ok(certificate.validToDate.getUTCFullYear() >= 2050)
  t.end()
})

void t.test('Node verifies a leaf by name and by address', async (t) => {
  for (const host of ['localhost', '127.0.0.1', LONG]) {
    const { kind, host: name } = normalizeHost(host)
    const server = await serve(host)
    const raw = connect(server.port, '127.0.0.1')
    const socket = tls.connect({
      socket: raw,
      ca: ca.certPem,
      ...(kind === 'name' && { servername: name }),
      checkServerIdentity: (_name, certificate) => tls.checkServerIdentity(name, certificate),
    })
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once('secureConnect', () => resolve(undefined))
      socket.once('error', resolve)
    })
    t.equal(error, undefined, name)
    socket.destroy()
    server.close()
  }
})

const python = spawnSync('python3', ['-c', 'import ssl; ssl.VERIFY_X509_STRICT']).status === 0

void t.test(
  'Python verifies a leaf strictly',
  { skip: python ? false : 'no python3' },
  async (t) => {
    const program = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.verify_flags |= ssl.VERIFY_X509_STRICT
with socket.create_connection(('127.0.0.1', int(sys.argv[2])), 5) as raw:
    with context.wrap_socket(raw, server_hostname=sys.argv[3]) as secure:
        print(secure.version())
`
    const ask = async (certFile: string, served: string, asked: string): Promise<string> => {
      const server = await serve(served)
      const child = spawn('python3', ['-c', program, certFile, String(server.port), asked])
      let out = ''
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()))
      await new Promise((resolve) => child.once('close', resolve))
      server.close()
      return out.trim().split('\n').at(-1) ?? ''
    }
    for (const host of ['api.example.test', '127.0.0.1', `${'a'.repeat(58)}.example`, '[::1]'])
      t.equal(await ask(ca.certFile, host, normalizeHost(host).host), 'TLSv1.3', host)
    t.equal(await ask(ca.bundleFile, 'api.example.test', 'api.example.test'), 'TLSv1.3', 'bundle')
    t.match(await ask(ca.certFile, 'api.example.test', 'other.test'), /CERTIFICATE_VERIFY_FAILED/)
  },
)

function pointOf(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' }).subarray(-65)
}

async function serve(host: string): Promise<{ port: number; close(): void }> {
  const server = tls.createServer({
    cert: mint(host).certPem,
    key: leafKey.export({ type: 'pkcs8', format: 'pem' }),
  })
  server.on('tlsClientError', () => undefined)
  server.on('secureConnection', (socket) => socket.on('error', () => undefined))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: portOf(server), close: () => server.close() }
}
