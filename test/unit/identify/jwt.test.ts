// Proves what a workload token is taken for: each algorithm, each thing that can be wrong with one next to a token with which
// nothing is, the rotation of keys, and what is remembered how long.

import { createHmac } from 'node:crypto'

import {
  exportJWK,
  generateKeyPair,
  SignJWT,
  type JSONWebKeySet,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
} from 'jose'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { JwtVerifier, type JwtOptions } from '../../../src/identify/jwt.ts'

const NOW = Date.UTC(2026, 0, 1)
const SUBJECT = 'spiffe://acme/agent/triage'

/** Claims over the usual ones; what is undefined is left out. */
type Claims = { readonly [Name in keyof JWTPayload]: JWTPayload[Name] | undefined }

interface Signer {
  readonly jwk: JWK
  sign(claims?: Claims, header?: Partial<JWTHeaderParameters>): Promise<string>
}

async function makeSigner(alg: string, kid: string | undefined = 'k1'): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const named = kid === undefined ? {} : { kid }
  return {
    jwk: { ...(await exportJWK(publicKey)), ...named, use: 'sig' },
    sign: (claims = {}, header = {}) =>
      new SignJWT(claimsOf(claims))
        .setProtectedHeader({ alg, ...named, typ: 'JWT', ...header })
        .sign(privateKey, { crit: { exp: true } }),
  }
}

function claimsOf(claims: Claims): JWTPayload {
  return JSON.parse(
    JSON.stringify({
      iss: 'https://issuer.test',
      sub: SUBJECT,
      aud: ['sallyport'],
      exp: NOW / 1000 + 600,
      ...claims,
    }),
  )
}

interface Bench {
  readonly verifier: JwtVerifier
  now: number
  set: JSONWebKeySet | Error
  fetches: number
}

function makeBench(keys: readonly JWK[], options: Partial<JwtOptions> = {}): Bench {
  const bench: Bench = {
    verifier: new JwtVerifier({
      issuer: 'https://issuer.test',
      audience: 'sallyport',
      now: () => bench.now,
      keys: () => {
        bench.fetches += 1
        return bench.set instanceof Error ? Promise.reject(bench.set) : Promise.resolve(bench.set)
      },
      ...options,
    }),
    now: NOW,
    set: { keys: [...keys] },
    fetches: 0,
  }
  return bench
}

/** What verifying comes to: the subject, or why not. */
async function outcome(verifier: JwtVerifier, token: string): Promise<string> {
  try {
    return (await verifier.verify(token)).subject
  } catch (error) {
    if (!(error instanceof EgressError) || error.reason !== 'identity-unknown') throw error
    return String(error.detail['why'])
  }
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

void t.test('every algorithm that signs by a key pair is taken', async (t) => {
  const algorithms = ['RS', 'PS', 'ES'].flatMap((kind) =>
    ['256', '384', '512'].map((bits) => `${kind}${bits}`),
  )
  for (const alg of [...algorithms, 'EdDSA']) {
    const signer = await makeSigner(alg)
    const { verifier } = makeBench([signer.jwk])
    t.strictSame(
      await verifier.verify(await signer.sign()),
      { subject: SUBJECT, expiresAt: NOW + 600_000 },
      alg,
    )
  }
})

void t.test('a token without a signature or by a shared secret is never one', async (t) => {
  const signer = await makeSigner('RS256')
  const { verifier, set } = makeBench([signer.jwk])
  const signed = await signer.sign()
  const [, payload] = signed.split('.')
  t.equal(await outcome(verifier, `${encode({ alg: 'none' })}.${payload}.`), 'algorithm')
  for (const secret of [signer.jwk.n ?? '', JSON.stringify(set)]) {
    const body = `${encode({ alg: 'HS256', kid: 'k1' })}.${payload}`
    const mac = createHmac('sha256', secret).update(body).digest('base64url')
    t.equal(await outcome(verifier, `${body}.${mac}`), 'algorithm')
  }
  const shared = Buffer.from('a secret that stands in a set of keys').toString('base64url')
  const other = makeBench([{ kty: 'oct', k: shared, kid: 'k1', alg: 'HS256' }, signer.jwk])
  t.equal(await outcome(other.verifier, signed), SUBJECT, 'the twin')
})

void t.test('each thing that can be wrong, next to a token with which nothing is', async (t) => {
  const signer = await makeSigner('ES256')
  const stranger = await makeSigner('ES256')
  const { verifier } = makeBench([signer.jwk])
  const at = NOW / 1000
  const cases: [string, Claims, Claims][] = [
    ['expired', { exp: at - 31 }, { exp: at - 29 }],
    ['expired', { nbf: at + 31 }, { nbf: at + 29 }],
    ['audience', { aud: 'other' }, { aud: 'sallyport' }],
    ['audience', { aud: undefined }, { aud: ['other', 'sallyport'] }],
    ['audience', { aud: ['sallyport2'] }, { aud: ['sallyport'] }],
    ['issuer', { iss: 'https://issuer.test/' }, { iss: 'https://issuer.test' }],
    ['issuer', { iss: undefined }, {}],
    ['malformed', { exp: undefined }, {}],
    ['malformed', { sub: undefined }, { sub: 'system:serviceaccount:agents:triage' }],
    ['malformed', { sub: '' }, { sub: 'a' }],
    ['malformed', { sub: 'a'.repeat(2049) }, { sub: 'a'.repeat(2048) }],
  ]
  for (const [why, wrong, right] of cases) {
    t.equal(await outcome(verifier, await signer.sign(wrong)), why, JSON.stringify(wrong))
    t.equal(await outcome(verifier, await signer.sign(right)), right.sub ?? SUBJECT, 'its twin')
  }
  const token = await signer.sign()
  t.equal(await outcome(verifier, await stranger.sign()), 'signature')
  const [header, payload = '', signature] = token.split('.')
  const forged = encode({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub: 'x' })
  t.equal(await outcome(verifier, `${header}.${forged}.${signature}`), 'signature')
  t.equal(await outcome(verifier, await signer.sign({}, { kid: 'k2' })), 'key')
  t.equal(await outcome(verifier, await signer.sign({}, { crit: ['exp'], exp: 1 })), 'malformed')
  t.equal(await outcome(verifier, await signer.sign({}, { crit: ['b64'], b64: true })), 'malformed')
  t.equal(await outcome(verifier, `${encode([])}.${payload}.${signature}`), 'malformed')
  t.equal(await outcome(verifier, token), SUBJECT)
})

void t.test('a token is 8 KiB at the most', async (t) => {
  const signer = await makeSigner('EdDSA')
  const { verifier } = makeBench([signer.jwk])
  const short = await signer.sign({ pad: 'a'.repeat(5800) })
  const long = await signer.sign({ pad: 'a'.repeat(6200) })
  t.ok(short.length <= 8192 && long.length > 8192)
  t.equal(await outcome(verifier, short), SUBJECT)
  t.equal(await outcome(verifier, long), 'malformed')
  t.equal(verifier.known(long), undefined)
})

void t.test('without an issuer none is looked at', async (t) => {
  const signer = await makeSigner('ES256')
  const { verifier } = makeBench([signer.jwk], { issuer: undefined })
  t.equal(await outcome(verifier, await signer.sign({ iss: undefined })), SUBJECT)
  t.equal(await outcome(verifier, await signer.sign({ iss: 'anybody' })), SUBJECT)
  t.equal(await outcome(verifier, await signer.sign({ aud: 'other' })), 'audience')
})

void t.test('a token that names no key is tried with each that fits', async (t) => {
  const [one, two, three] = [
    await makeSigner('ES256', undefined),
    await makeSigner('ES256', undefined),
    await makeSigner('ES256', undefined),
  ] as const
  const { verifier } = makeBench([one.jwk, two.jwk])
  t.equal(await outcome(verifier, await one.sign()), SUBJECT)
  t.equal(await outcome(verifier, await two.sign()), SUBJECT)
  t.equal(await outcome(verifier, await two.sign({ exp: 1 })), 'expired')
  t.equal(await outcome(verifier, await three.sign()), 'signature')
})

void t.test('the keys of a SPIFFE bundle are taken for what they are for', async (t) => {
  const signer = await makeSigner('ES256')
  const { jwk } = signer
  const token = await signer.sign()
  t.equal(await outcome(makeBench([{ ...jwk, use: 'jwt-svid' }]).verifier, token), SUBJECT)
  t.equal(await outcome(makeBench([{ ...jwk, use: 'x509-svid' }]).verifier, token), 'key')
  t.equal(await outcome(makeBench([{ ...jwk, use: 'enc' }]).verifier, token), 'key')
})

void t.test('rotation: a new key is fetched when it is first named', async (t) => {
  const [old, fresh] = [await makeSigner('ES256', 'old'), await makeSigner('ES256', 'new')]
  const bench = makeBench([old.jwk])
  const [before, after] = [await old.sign(), await fresh.sign()]
  t.equal(await outcome(bench.verifier, before), SUBJECT)
  t.match(bench.verifier.known(before), { subject: SUBJECT })

  bench.set = { keys: [old.jwk, fresh.jwk] }
  t.equal(await outcome(bench.verifier, after), 'key', 'not within ten seconds of the last fetch')
  bench.now += 10_000
  t.equal(await outcome(bench.verifier, after), SUBJECT)
  t.equal(bench.fetches, 2)

  t.equal(await outcome(bench.verifier, before), SUBJECT)
  t.ok(bench.verifier.known(before))
  bench.set = { keys: [fresh.jwk] }
  bench.now += 10_000
  t.equal(await outcome(bench.verifier, await fresh.sign({}, { kid: 'other' })), 'key')
  t.equal(bench.verifier.known(before), undefined, 'what a key signed that is gone is not known')
  t.equal(await outcome(bench.verifier, before), 'key')
  t.equal(await outcome(bench.verifier, after), SUBJECT)
  t.ok(bench.verifier.known(after))
})

void t.test('the same keys fetched again forget nothing', async (t) => {
  const signer = await makeSigner('ES256')
  const bench = makeBench([signer.jwk])
  const token = await signer.sign()
  await bench.verifier.verify(token)
  bench.now += 10_000
  t.equal(await outcome(bench.verifier, await signer.sign({}, { kid: 'other' })), 'key')
  t.equal(bench.fetches, 2)
  t.ok(bench.verifier.known(token))
})

void t.test('a flood of tokens with unknown keys is no flood of fetches', async (t) => {
  const signer = await makeSigner('ES256')
  const bench = makeBench([signer.jwk])
  const flood = await Promise.all(
    Array.from({ length: 50 }, (_, at) => signer.sign({}, { kid: `unknown-${at}` })),
  )
  const all = await Promise.all(flood.map((token) => outcome(bench.verifier, token)))
  t.ok(all.every((why) => why === 'key'))
  t.equal(bench.fetches, 1)
  bench.now += 10_000
  await Promise.all(flood.map((token) => outcome(bench.verifier, token)))
  t.equal(bench.fetches, 2)
  t.equal(await outcome(bench.verifier, await signer.sign()), SUBJECT, 'the twin')
  t.equal(bench.fetches, 2)
})

void t.test(
  'a token whose keys were replaced while it was verified is not remembered',
  async (t) => {
    const [old, fresh] = [await makeSigner('ES256', 'old'), await makeSigner('ES256', 'new')]
    const bench = makeBench([old.jwk])
    const token = await old.sign()
    await bench.verifier.verify(token)
    bench.set = { keys: [fresh.jwk] }
    bench.now += 10_000
    const other = await fresh.sign()
    await Promise.all([bench.verifier.verify(other), outcome(bench.verifier, token)])
    t.equal(bench.verifier.known(token), undefined)
    t.ok(bench.verifier.known(other))
  },
)

void t.test('keys are kept for ten minutes, and longer where newer cannot be had', async (t) => {
  const signer = await makeSigner('ES256')
  const bench = makeBench([signer.jwk])
  const token = await signer.sign({ exp: NOW / 1000 + 86_400 })
  await bench.verifier.verify(token)
  bench.now += 10 * 60_000 - 1
  await bench.verifier.verify(token)
  t.equal(bench.fetches, 1)
  bench.set = new Error('the issuer is down')
  bench.now += 1
  t.equal(await outcome(bench.verifier, token), SUBJECT)
  t.equal(await outcome(bench.verifier, token), SUBJECT)
  t.equal(bench.fetches, 2, 'and it is not asked again at once')
  bench.now += 10_000
  bench.set = { keys: [] }
  t.equal(await outcome(bench.verifier, token), 'key', 'an issuer without keys has taken them back')
})

void t.test('without keys nobody is known, until there are some', async (t) => {
  const signer = await makeSigner('ES256')
  const bench = makeBench([])
  const token = await signer.sign()
  bench.set = new Error('down')
  t.equal(await outcome(bench.verifier, token), 'keys-unavailable')
  bench.set = JSON.parse('{ "keys": "none" }')
  bench.now += 10_000
  t.equal(await outcome(bench.verifier, token), 'keys-unavailable')
  bench.set = { keys: [signer.jwk] }
  t.equal(await outcome(bench.verifier, token), 'keys-unavailable')
  t.equal(bench.fetches, 2)
  bench.now += 10_000
  t.equal(await outcome(bench.verifier, token), SUBJECT)
})

void t.test(
  'a token is known for five minutes, and no longer than verifying it would do',
  async (t) => {
    const signer = await makeSigner('ES256')
    const bench = makeBench([signer.jwk])
    const [long, short] = [await signer.sign(), await signer.sign({ exp: NOW / 1000 + 60 })]
    t.equal(bench.verifier.known(long), undefined)
    await bench.verifier.verify(long)
    await bench.verifier.verify(short)
    t.strictSame(bench.verifier.known(long), { subject: SUBJECT, expiresAt: NOW + 600_000 })
    bench.now = NOW + 90_000 - 1
    t.ok(bench.verifier.known(short))
    bench.now = NOW + 90_000
    t.equal(bench.verifier.known(short), undefined)
    t.equal(await outcome(bench.verifier, short), 'expired')
    bench.now = NOW + 300_000 - 1
    t.ok(bench.verifier.known(long))
    bench.now = NOW + 300_000
    t.equal(bench.verifier.known(long), undefined)
    t.equal(await outcome(bench.verifier, long), SUBJECT)
  },
)

void t.test('the shape of a JWT is told from other credentials', async (t) => {
  const token = await (await makeSigner('ES256')).sign()
  const spaced = Buffer.from('{ "alg": "ES256" }').toString('base64url')
  for (const text of [token, `${spaced}.e30.AA`, `${encode({ alg: 'none' })}.e30.`])
    t.ok(JwtVerifier.resembles(text), text)
  for (const text of [
    '',
    'a.b.c',
    'eyJ',
    `${token}.x`,
    ` ${token}`,
    'sp_0123456789abcdef',
    `${token}\n`,
  ])
    t.notOk(JwtVerifier.resembles(text), text)
})
