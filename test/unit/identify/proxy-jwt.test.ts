// Proves where a JWT is found in a head, and that nothing else is taken for one.

import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'

import { Identifier } from '../../../src/identify/identify.ts'
import { JwtVerifier } from '../../../src/identify/jwt.ts'
import { readProxyJwt } from '../../../src/identify/proxy-jwt.ts'

const JWT = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.AAAA'
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`

void t.test('a JWT is what Bearer says, or the password of Basic', (t) => {
  for (const value of [`Bearer ${JWT}`, `bearer  ${JWT}`, basic(`x:${JWT}`), basic(`:${JWT}`)])
    t.equal(readProxyJwt(['Proxy-Authorization', value]), JWT, value)
  t.end()
})

void t.test('everything else is no JWT', (t) => {
  const values = ['', 'Bearer', 'Bearer token', JWT, `Digest ${JWT}`, basic(JWT), basic('a:b')]
  for (const value of [...values, `Bearer ${JWT}, Bearer ${JWT}`, basic(`a:b:${JWT}`)])
    t.equal(readProxyJwt(['Proxy-Authorization', value]), undefined, value)
  t.equal(readProxyJwt(['Authorization', `Bearer ${JWT}`]), undefined)
  const twice = ['proxy-authorization', `Bearer ${JWT}`]
  t.equal(readProxyJwt([...twice, ...twice]), undefined, 'two credentials are none')
  t.end()
})

void t.test('a head is waited for only where it carries a token that is not known', async (t) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwt = new JwtVerifier({
    issuer: undefined,
    audience: 'sallyport',
    keys: async () => ({ keys: [await exportJWK(publicKey)] }),
    now: Date.now,
  })
  const claims = { sub: 'a', aud: 'sallyport', exp: Math.floor(Date.now() / 1000) + 60 }
  const token = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(privateKey)
  const surroundings = { standing: () => undefined, policyFor: () => undefined }
  const identifier = new Identifier({ ...surroundings, jwt })
  const head = ['Proxy-Authorization', basic(`jwt:${token}`)]
  t.equal(identifier.prove([]), undefined)
  t.equal(new Identifier({ ...surroundings, jwt: undefined }).prove(head), undefined)
  const proof = identifier.prove(head)
  t.not(proof, undefined)
  await proof
  t.equal(identifier.prove(head), undefined, 'it is known now')
  const forged = async (): Promise<void> =>
    identifier.prove(['Proxy-Authorization', `Bearer ${JWT}`])
  await t.rejects(forged(), { name: 'EgressError', message: /identity-unknown/ })
})
