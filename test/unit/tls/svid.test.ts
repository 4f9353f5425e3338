// Proves that a certificate's SPIFFE ID is read from its bytes: one URI and no more, whatever other names look like.

import { X509Certificate } from 'node:crypto'

import t from 'tap'

import { readSpiffeId } from '../../../src/tls/svid.ts'
import { makePki, type IssueOptions } from '../../fixtures/pki.ts'

const ID = 'spiffe://acme/agent/triage'
const pki = makePki()

const certificateOf = (options: IssueOptions): X509Certificate =>
  new X509Certificate(pki.issue({ usage: 'clientAuth', ...options }).certPem)
const idOf = (options: IssueOptions): string | undefined => readSpiffeId(certificateOf(options))

const hex = (bytes: Buffer): string => bytes.toString('hex').replaceAll(/..(?=.)/g, '$&:')
const element = (tag: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.of(tag, content.length), content])
const uri = (text: string): Buffer => element(0x86, Buffer.from(text, 'latin1'))
const idOfDer = (der: Buffer): string | undefined => idOf({ alternativesDer: hex(der) })

void t.test('the one URI is the subject, with or without names of other kinds', (t) => {
  t.equal(idOf({ uris: [ID] }), ID)
  t.equal(idOf({ uris: [ID], names: ['triage.acme.test'], ips: ['10.1.2.3'] }), ID)
  t.equal(
    idOf({ uris: [`spiffe://a.b-c_1/${'x'.repeat(200)}/Y._-`] }),
    `spiffe://a.b-c_1/${'x'.repeat(200)}/Y._-`,
  )
  t.end()
})

void t.test('none, several, or another URI is no subject', (t) => {
  t.equal(idOf({}), undefined, 'no alternative names at all')
  t.equal(idOf({ names: ['triage.acme.test'] }), undefined)
  t.equal(idOf({ uris: [ID, 'spiffe://acme/other'] }), undefined)
  t.equal(idOf({ uris: [ID, 'https://acme.test/'] }), undefined)
  t.equal(idOf({ uris: [ID], ca: true }), undefined, 'an authority is no workload')
  const others = [
    'https://acme/agent/triage',
    'SPIFFE://acme/agent',
    'spiffe://acme',
    'spiffe://acme/',
    'spiffe://acme/agent/',
    'spiffe://acme//agent',
    'spiffe://acme/../agent',
    'spiffe://acme/./agent',
    'spiffe://Acme/agent',
    'spiffe://acme:1/agent',
    'spiffe://u@acme/agent',
    'spiffe://acme/agent?a',
    'spiffe://acme/ag%65nt',
    'spiffe:///agent',
  ]
  for (const other of others) t.equal(idOf({ uris: [other] }), undefined, other)
  t.end()
})

void t.test('a name of another kind that looks like a URI is not taken for one', (t) => {
  const crafted = 'x, URI:spiffe://acme/agent/admin'
  const certificate = certificateOf({ names: [crafted] })
  t.match(certificate.subjectAltName, /URI:spiffe:/, 'in the text it stands')
  t.equal(readSpiffeId(certificate), undefined)
  t.equal(idOf({ names: [crafted], uris: [ID] }), ID)
  t.equal(idOf({ names: [ID] }), undefined)
  t.end()
})

void t.test('alternative names that cannot be read to their last byte have none', (t) => {
  const good = uri(ID)
  t.equal(idOfDer(element(0x30, good)), ID, 'the twin')
  t.equal(idOfDer(Buffer.concat([element(0x30, good), uri('spiffe://acme/b')])), undefined)
  t.equal(idOfDer(element(0x30, Buffer.concat([good, Buffer.of(0x86, 0x7f)]))), undefined)
  t.equal(idOfDer(element(0x30, Buffer.concat([good, Buffer.of(0x86)]))), undefined)
  t.equal(idOfDer(Buffer.concat([Buffer.of(0x30, 0x80), good, Buffer.of(0, 0)])), undefined)
  t.equal(idOfDer(element(0x30, Buffer.concat([Buffer.of(0x9f, 0x86, 0), good]))), undefined)
  t.equal(idOfDer(element(0x30, element(0xa6, good))), undefined, 'a URI within something else')
  t.equal(idOfDer(element(0x30, uri(`${ID}\0/b`))), undefined)
  t.equal(idOfDer(element(0x31, good)), undefined)
  t.end()
})
