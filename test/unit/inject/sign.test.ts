import { createVerify, generateKeyPairSync } from 'node:crypto'

import t from 'tap'

import { makeSecret } from '../../../src/credentials/vault.ts'
import { EgressError } from '../../../src/errors.ts'
import type { Unfinished } from '../../../src/inject/finisher.ts'
import { hmacFinisher } from '../../../src/inject/hmac.ts'
import {
  httpSignatureFinisher,
  signatureBase,
  signBase,
  writeParameters,
} from '../../../src/inject/http-signature.ts'
import { valuesOf } from '../../../src/wire/headers.ts'
import { parseAuthority } from '../../../src/wire/authority.ts'

// RFC 9421, appendices B.1 and B.2.
const SHARED = Buffer.from(
  'uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==',
  'base64',
).toString('latin1')
const ED25519 = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----`
const MESSAGE = {
  method: 'POST',
  scheme: 'https',
  path: '/foo?param=Value&Pet=dog',
  headers: [
    'Host',
    'example.com',
    'Date',
    'Tue, 20 Apr 2021 02:07:55 GMT',
    'Content-Type',
    'application/json',
    'Content-Length',
    '18',
  ],
} as const
const CREATED = 1_618_884_473

const request = (more: Partial<Unfinished> = {}): Unfinished => ({
  ...MESSAGE,
  endpoint: parseAuthority('example.com:443'),
  asked: { headers: MESSAGE.headers, query: undefined },
  placeholder: '',
  placeholderOf: () => '',
  credential: 'signed',
  notAfter: Infinity,
  now: CREATED * 1000,
  ...more,
})

const whyNot = (attempt: () => unknown): unknown => {
  try {
    attempt()
    return undefined
  } catch (error) {
    return error instanceof EgressError ? error.detail['why'] : error
  }
}

void t.test('R18: the vectors of RFC 9421, B.2.5 and B.2.6', (t) => {
  const sign = (
    components: readonly string[],
    keyId: string,
    algorithm: 'hmac-sha256' | 'ed25519',
    key: string,
  ): string | undefined => {
    const parameters = writeParameters(components, { created: CREATED, keyId })
    const base = signatureBase(MESSAGE, components, parameters)
    return base && signBase(base, algorithm, makeSecret('s', key)).toString('base64')
  }
  t.equal(
    sign(['date', '@authority', 'content-type'], 'test-shared-secret', 'hmac-sha256', SHARED),
    'pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=',
  )
  t.equal(
    sign(
      ['date', '@method', '@path', '@authority', 'content-type', 'content-length'],
      'test-key-ed25519',
      'ed25519',
      ED25519,
    ),
    'wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==',
  )
  t.end()
})

void t.test('derived components as RFC 9421 section 2.2 has them', (t) => {
  const base = (path: string, ...components: string[]): string | undefined =>
    signatureBase({ ...MESSAGE, path }, components, '()')
  t.equal(
    base('/p?q=1', '@method', '@target-uri', '@request-target', '@scheme', '@path', '@query'),
    `"@method": POST
"@target-uri": https://example.com/p?q=1
"@request-target": /p?q=1
"@scheme": https
"@path": /p
"@query": ?q=1
"@signature-params": ()`,
  )
  t.match(base('/p', '@query'), '"@query": ?\n')
  t.equal(base('/p', 'x-none'), undefined, 'a field that is not there is signed by nobody')
  t.end()
})

void t.test('the digest of the body is written where it is signed', (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const components = ['@method', 'content-digest']
  const inject = {
    kind: 'http-signature',
    algorithm: 'ecdsa-p256-sha256',
    keyId: 'k',
    components,
    expiresMs: 60_000,
    nonce: true,
  } as const
  t.equal(httpSignatureFinisher.needsBody(inject, request()), true)
  const own = ['Content-Digest', 'sha-256=:own:', 'Signature', 'own', 'signature_input', 'own']
  const headers = [...MESSAGE.headers, ...own]
  const finished = httpSignatureFinisher.finish(
    inject,
    request({ headers, asked: { headers, query: undefined } }),
    Buffer.from('{"hello": "world"}'),
    makeSecret('s', key),
  )
  t.equal(finished.isReplaced, true)
  // RFC 9530, appendix B.
  const digest = 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:'
  t.strictSame(valuesOf(finished.headers, 'content-digest'), [digest])
  t.notMatch(finished.headers.join('\n'), /own/)
  const [input = ''] = valuesOf(finished.headers, 'signature-input')
  t.match(
    input,
    /^sig1=\("@method" "content-digest"\);created=1618884473;expires=1618884533;keyid="k";nonce="[\w-]{22}"$/,
  )
  const base = `"@method": POST\n"content-digest": ${digest}\n"@signature-params": ${input.slice(5)}`
  const [signature = ''] = valuesOf(finished.headers, 'signature')
  const verify = createVerify('sha256').update(base)
  const bytes = Buffer.from(signature.slice('sig1=:'.length, -1), 'base64')
  t.ok(verify.verify({ key: publicKey, dsaEncoding: 'ieee-p1363' }, bytes))
  t.equal(
    whyNot(() =>
      httpSignatureFinisher.finish(
        { ...inject, algorithm: 'ed25519' },
        request(),
        Buffer.alloc(0),
        makeSecret('s', key),
      ),
    ),
    'the key is of another kind',
  )
  t.equal(
    whyNot(() =>
      httpSignatureFinisher.finish(inject, request(), Buffer.alloc(0), makeSecret('s', 'no key')),
    ),
    'the value is no private key (PEM)',
  )
  t.equal(
    whyNot(() =>
      httpSignatureFinisher.finish(
        { ...inject, components: ['x-none'] },
        request(),
        undefined,
        makeSecret('s', key),
      ),
    ),
    'a component that it signs is not there',
  )
  t.end()
})

void t.test('R18: a keyed hash of a body as GitHub documents it', (t) => {
  const inject = {
    kind: 'hmac',
    algorithm: 'sha256',
    text: [{ field: 'body' }],
    encoding: 'hex',
    header: 'X-Hub-Signature-256',
    format: 'sha256={}',
  } as const
  t.equal(hmacFinisher.needsBody(inject, request()), true)
  const { headers } = hmacFinisher.finish(
    inject,
    request(),
    Buffer.from('Hello, World!'),
    makeSecret('s', "It's a Secret to Everybody"),
  )
  t.strictSame(valuesOf(headers, 'x-hub-signature-256'), [
    'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
  ])
  t.equal(
    whyNot(() => hmacFinisher.finish(inject, request(), undefined, makeSecret('s', ''))),
    'it has no key',
  )
  t.end()
})

void t.test('a text without the body leaves it as it flows', (t) => {
  const text = [{ field: 'method' }, { text: '\n' }, { field: 'path' }] as const
  const inject = {
    kind: 'hmac',
    algorithm: 'sha512',
    text,
    encoding: 'base64',
    header: 'X-S',
    format: '{}',
  } as const
  t.equal(hmacFinisher.needsBody(inject, request()), false)
  t.end()
})
