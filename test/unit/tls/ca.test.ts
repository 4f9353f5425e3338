// Proves the CA's files: what is public and what is not, what is kept, renewed, mended, and what is an error.

import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import tls from 'node:tls'

import t, { type Test } from 'tap'

import { loadOrMakeCa, type Ca } from '../../../src/tls/ca.ts'
import { mintLeaf } from '../../../src/tls/leaf.ts'

const DAY_MS = 86_400_000

interface Place {
  readonly root: string
  readonly keyFile: string
  readonly certFile: string
  readonly bundleFile: string
  load(options?: { lifetimeMs?: number; now?: number }): Ca
}

function newDirectory(t: Test): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-ca-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

function place(t: Test): Place {
  const root = newDirectory(t)
  const keyFile = path.join(root, 'state/ca.key')
  return {
    root,
    keyFile,
    certFile: path.join(root, 'certs/ca.crt'),
    bundleFile: path.join(root, 'certs/ca-bundle.crt'),
    load: ({ lifetimeMs = 30 * DAY_MS, now = Date.now() } = {}) =>
      loadOrMakeCa({ dir: path.join(root, 'certs'), keyFile, lifetimeMs, now: () => now }),
  }
}

const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8)
const opensslVerifies = (ca: string, leaf: string): boolean => {
  try {
    execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', ca, leaf], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Whether a leaf of `signer` is verified by who trusts `trusted`. */
function leafVerifies(t: Test, signer: Ca, trustedPem: string): boolean {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const dir = newDirectory(t)
  const leaf = mintLeaf(signer, [{ host: 'api.test', kind: 'name' }], privateKey, Date.now())
  writeFileSync(path.join(dir, 'leaf.crt'), leaf.certPem)
  writeFileSync(path.join(dir, 'trusted.crt'), trustedPem)
  return opensslVerifies(path.join(dir, 'trusted.crt'), path.join(dir, 'leaf.crt'))
}

void t.test('a first start makes a key that is secret and certificates that are not', (t) => {
  const at = place(t)
  const ca = at.load()
  t.equal(modeOf(at.keyFile), '600')
  t.equal(modeOf(path.dirname(at.keyFile)), '700')
  t.equal(modeOf(at.certFile), '644')
  t.equal(modeOf(at.bundleFile), '644')
  t.equal(ca.certFile, at.certFile)
  t.equal(ca.bundleFile, at.bundleFile)
  t.strictSame(readdirSync(path.dirname(at.certFile)).sort(), [
    'ca-bundle.crt',
    'ca-truststore.p12',
    'ca.crt',
    'wgetrc',
  ])
  t.strictSame(readdirSync(path.dirname(at.keyFile)), ['ca.key'])
  for (const file of [at.certFile, at.bundleFile])
    t.notMatch(readFileSync(file, 'utf8'), /PRIVATE/, 'no secret in what is mounted')
  const certificate = new X509Certificate(readFileSync(at.certFile))
  t.ok(certificate.ca)
  t.match(certificate.subject, /^O=Sallyport\nCN=Sallyport interception CA [0-9a-f]{8}$/)
  t.ok(Math.abs(certificate.validToDate.getTime() - Date.now() - 30 * DAY_MS) < 5000)
  t.ok(opensslVerifies(at.certFile, at.certFile), 'it verifies itself, strictly')
  t.end()
})

void t.test('the bundle is the public roots and ours, and tools can read it', (t) => {
  const at = place(t)
  const ca = at.load()
  const bundle = readFileSync(at.bundleFile, 'utf8')
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  t.strictSame(blocks, [...tls.rootCertificates.map((root) => root.trim()), ca.certPem.trim()])
  t.notMatch(bundle, /\n\n/, 'no blank line, at which OpenSSL would stop')
  t.ok(opensslVerifies(at.bundleFile, at.certFile))
  t.end()
})

void t.test('two installations differ in key, name and serial', (t) => {
  const one = new X509Certificate(place(t).load().certPem)
  const two = new X509Certificate(place(t).load().certPem)
  t.not(one.subject, two.subject)
  t.not(one.serialNumber, two.serialNumber)
  t.not(
    one.publicKey.export({ type: 'spki', format: 'pem' }),
    two.publicKey.export({ type: 'spki', format: 'pem' }),
  )
  t.end()
})

void t.test('what is there and good is kept', (t) => {
  const at = place(t)
  const files = (): string[] =>
    [at.keyFile, at.certFile, at.bundleFile].map((file) => readFileSync(file, 'utf8'))
  const first = at.load()
  const before = files()
  const touched = statSync(at.certFile).mtimeMs
  const second = at.load()
  t.strictSame(files(), before)
  t.equal(second.certPem, first.certPem)
  t.equal(statSync(at.certFile).mtimeMs, touched, 'not even written again')
  t.end()
})

void t.test(
  'a CA that is about to end or has ended is renewed, and who trusted it still does',
  (t) => {
    const start = Date.now() - 25 * DAY_MS
    for (const [what, lifetimeMs] of [
      ['about to end', 30 * DAY_MS],
      ['ended', 20 * DAY_MS],
    ] as const) {
      const at = place(t)
      const old = at.load({ lifetimeMs, now: start })
      const key = readFileSync(at.keyFile, 'utf8')
      const fresh = at.load({ lifetimeMs })
      t.not(fresh.certPem, old.certPem, what)
      t.equal(readFileSync(at.certFile, 'utf8'), fresh.certPem)
      t.ok(readFileSync(at.bundleFile, 'utf8').endsWith(fresh.certPem), 'in the bundle too')
      t.equal(readFileSync(at.keyFile, 'utf8'), key, 'the key is kept')
      const [before, after] = [new X509Certificate(old.certPem), new X509Certificate(fresh.certPem)]
      t.equal(after.subject, before.subject, 'and the name')
      t.not(after.serialNumber, before.serialNumber, 'but not the serial')
      t.ok(leafVerifies(t, fresh, fresh.certPem))
      if (what === 'about to end')
        t.ok(leafVerifies(t, fresh, old.certPem), 'a client that loaded the old one goes on')
    }
    const at = place(t)
    const young = at.load({ now: Date.now() - 23 * DAY_MS })
    t.equal(at.load().certPem, young.certPem, 'more than a fifth of its life is left: kept')
    t.end()
  },
)

void t.test('a certificate that is not valid yet is made anew', (t) => {
  const at = place(t)
  const early = at.load({ now: Date.now() + 10 * DAY_MS })
  t.not(at.load().certPem, early.certPem)
  t.end()
})

void t.test('missing and torn public parts are mended from the key', (t) => {
  const at = place(t)
  at.load()
  const key = readFileSync(at.keyFile, 'utf8')
  const whole = readFileSync(at.certFile, 'utf8')
  for (const [what, tear] of [
    ['no bundle', () => rmSync(at.bundleFile)],
    ['half a bundle', () => writeFileSync(at.bundleFile, 'half')],
    ['no certificate', () => rmSync(at.certFile)],
    ['an empty certificate', () => writeFileSync(at.certFile, '')],
    ['half a certificate', () => writeFileSync(at.certFile, whole.slice(0, 200))],
    ['less than its first line', () => writeFileSync(at.certFile, whole.slice(0, 8))],
    ['something behind it', () => writeFileSync(at.certFile, `${whole}${tls.rootCertificates[0]}`)],
  ] as const) {
    tear()
    const ca = at.load()
    t.equal(readFileSync(at.certFile, 'utf8'), ca.certPem, what)
    t.equal(ca.certPem.match(/BEGIN CERTIFICATE/g)?.length, 1)
    t.equal(
      readFileSync(at.bundleFile, 'utf8').match(/BEGIN CERTIFICATE/g)?.length,
      tls.rootCertificates.length + 1,
    )
    t.ok(new X509Certificate(ca.certPem).checkPrivateKey(createPrivateKey(key)))
    t.equal(readFileSync(at.keyFile, 'utf8'), key)
  }
  t.end()
})

void t.test('without its key a certificate is worthless and both are made anew', (t) => {
  const at = place(t)
  const old = at.load()
  rmSync(at.keyFile)
  const fresh = at.load()
  t.not(fresh.certPem, old.certPem)
  t.ok(new X509Certificate(fresh.certPem).checkPrivateKey(fresh.key))
  t.ok(leafVerifies(t, fresh, readFileSync(at.certFile, 'utf8')))
  t.end()
})

void t.test('a key that cannot be used is an error in a sentence, and is not replaced', (t) => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
  for (const [what, content] of [
    ['garbled', 'not a key'],
    ['empty', ''],
    ['torn', readFileSync(keyOf(t), 'utf8').slice(0, 80)],
    ['of another kind', rsa.export({ type: 'pkcs8', format: 'pem' }).toString()],
    [
      'locked',
      ec
        .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
        .toString(),
    ],
  ] as const) {
    const at = place(t)
    mkdirSync(path.dirname(at.keyFile), { recursive: true })
    writeFileSync(at.keyFile, content)
    t.throws(
      () => at.load(),
      { message: /^the CA's key .*ca\.key cannot be used \(.+\): restore it, or move it away/ },
      what,
    )
    t.equal(readFileSync(at.keyFile, 'utf8'), content, `${what}: left as it was`)
  }
  const at = place(t)
  mkdirSync(at.keyFile, { recursive: true })
  t.throws(() => at.load(), /cannot be used/, 'a directory in its place')
  t.end()
})

void t.test(
  'a file that somebody put in the place of the certificate is an error, and is kept',
  (t) => {
    const at = place(t)
    const { key } = at.load()
    writeFileSync(at.certFile, 'my notes')
    t.throws(() => at.load(), /ca\.crt is no certificate: restore it, or move it away/)
    t.equal(readFileSync(at.certFile, 'utf8'), 'my notes')
    // A certificate of the same key that is no CA.
    const leaf = mintLeaf(
      { ...place(t).load(), key },
      [{ host: 'x.test', kind: 'name' }],
      key,
      Date.now(),
    ).certPem
    writeFileSync(at.certFile, leaf)
    t.throws(() => at.load(), /ca\.crt belongs to the CA's key but is no CA of its own/)
    t.equal(readFileSync(at.certFile, 'utf8'), leaf)
    rmSync(at.certFile)
    t.doesNotThrow(() => at.load(), 'moved away, it is made anew')
    t.end()
  },
)

void t.test('a key that others could read is closed to them', (t) => {
  const at = place(t)
  const before = at.load()
  chmodSync(at.keyFile, 0o644)
  t.equal(at.load().certPem, before.certPem)
  t.equal(modeOf(at.keyFile), '600')
  t.end()
})

void t.test(
  'a CA that the operator made with openssl is used as it is, with its own name and identifier',
  (t) => {
    const at = place(t)
    mkdirSync(path.dirname(at.keyFile))
    mkdirSync(path.dirname(at.certFile))
    const openssl = (...words: string[]): void => {
      execFileSync('openssl', words, { stdio: 'ignore' })
    }
    openssl(
      'genpkey',
      '-algorithm',
      'EC',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-out',
      at.keyFile,
    )
    const config = path.join(newDirectory(t), 'own.conf')
    writeFileSync(
      config,
      `[req]
distinguished_name = name
x509_extensions = own
utf8 = yes
[name]
[own]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = 0102030405060708
`,
    )
    const subject = '/C=DE/O=Größe \\/ Söhne/OU=Sec/CN=Own, root'
    const words = ['-days', '30', '-subj', subject, '-config', config, '-utf8']
    openssl('req', '-x509', '-new', '-key', at.keyFile, '-out', at.certFile, ...words)
    const pem = readFileSync(at.certFile, 'utf8')
    const ca = at.load()
    t.equal(readFileSync(at.certFile, 'utf8'), pem, 'kept')
    t.equal(ca.keyId.toString('hex'), '0102030405060708')
    t.ok(leafVerifies(t, ca, pem), 'its leaves name it as it is written')
    t.end()
  },
)

function keyOf(t: Test): string {
  const at = place(t)
  at.load()
  return at.keyFile
}
