// What leaves for AWS verifies as a server would verify it, whatever the client said of its body; what must not be signed is not.

import t from 'tap'

import { makeSecret } from '../../../src/credentials/vault.ts'
import { EgressError } from '../../../src/errors.ts'
import type { Finished, Unfinished } from '../../../src/inject/finisher.ts'
import { awsSigner } from '../../../src/inject/sign-aws.ts'
import { parseAuthority } from '../../../src/wire/authority.ts'
import { formatSigningTime, hashPayload } from '../../../src/wire/sigv4.ts'
import { verifySignature, type Verified } from '../../fixtures/sigv4-verifier.ts'

const NOW = Date.UTC(2026, 4, 1, 12)
const KEY_ID = 'AKIAREALREALREALREAL'
const SECRET_KEY = 'canary-secret-access-key-5b1f0d9c'
const INJECT = { kind: 'sigv4', service: undefined, region: undefined } as const
const SECRET = makeSecret('aws', '', { accessKeyId: KEY_ID, secretAccessKey: SECRET_KEY })
const ELSEWHERE = 'store.test'
const HASH = 'X-Amz-Content-Sha256'
const UNSIGNED = 'UNSIGNED-PAYLOAD'

interface Asked {
  readonly method?: string
  readonly host?: string
  readonly path?: string
  readonly service?: string
  /** Beyond Host. */
  readonly headers?: readonly string[]
}

const request = ({
  method = 'POST',
  host = ELSEWHERE,
  path = '/',
  service = 's3',
  headers = [],
}: Asked): Unfinished => {
  const scope = `AKIAPLACEHOLDER/${formatSigningTime(NOW).slice(0, 8)}/eu-west-1/${service}/aws4_request`
  const at = path.indexOf('?')
  const isPresigned = path.includes('X-Amz-Signature')
  const authorization = [
    'Authorization',
    `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`,
  ]
  const kept = ['Host', host, ...headers]
  return {
    method,
    endpoint: parseAuthority(`${host}:443`),
    scheme: 'https',
    headers: kept,
    path: path.replace('SCOPE', encodeURIComponent(scope)),
    asked: {
      headers: isPresigned ? kept : [...kept, ...authorization],
      query: at < 0 ? undefined : path.slice(at + 1).replace('SCOPE', encodeURIComponent(scope)),
    },
    placeholder: 'AKIAPLACEHOLDER',
    placeholderOf: () => '',
    credential: 'aws',
    now: NOW,
    notAfter: NOW + 3_600_000,
  }
}

/** Signs, and verifies as a server. */
const sign = (asked: Asked, text = ''): Verified & { finished: Finished } => {
  const unfinished = request(asked)
  const body = Buffer.from(text)
  const isAsked = awsSigner.needsBody(INJECT, unfinished)
  const finished = awsSigner.finish(INJECT, unfinished, isAsked ? body : undefined, SECRET)
  const verified = verifySignature(
    { method: unfinished.method, target: finished.path, rawHeaders: finished.headers, body },
    {
      secretOf: (id) => (id === KEY_ID ? SECRET_KEY : undefined),
      service: asked.service ?? 's3',
      region: 'eu-west-1',
      now: NOW,
    },
  )
  return { ...verified, finished }
}

const whyNot = (asked: Asked, text = ''): unknown => {
  try {
    sign(asked, text)
    return undefined
  } catch (error) {
    return error instanceof EgressError ? `${error.reason}: ${error.detail['why']}` : error
  }
}

void t.test('the root of a host that may be of any service is read, and signed as it said', (t) => {
  const needs = (asked: Asked): boolean => awsSigner.needsBody(INJECT, request(asked))
  const said = (hash: string): Asked => ({ path: '/?delete', headers: [HASH, hash] })
  t.ok(needs(said(UNSIGNED)))
  t.equal(sign(said(UNSIGNED), '<Delete/>').payloadHash, UNSIGNED)
  t.equal(sign({ path: '/?delete' }, '<Delete/>').payloadHash, UNSIGNED, 'nothing, to S3')
  const presigned = `/?delete&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=SCOPE&X-Amz-Date=${formatSigningTime(NOW)}&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0`
  t.match(sign({ path: presigned }, '<Delete/>'), { isPresigned: true, payloadHash: UNSIGNED })
  const hash = hashPayload(Buffer.from('<Delete/>'))
  const hashed = sign(said(hash), '<Delete/>')
  t.equal(hashed.payloadHash, hash)
  t.ok(hashed.finished.through, 'and is proved on the way')
  t.equal(
    sign({ service: 'sqs' }, 'Action=SendMessage').payloadHash,
    hashPayload(Buffer.from('Action=SendMessage')),
  )
  t.equal(sign({ service: 'lex', headers: [HASH, UNSIGNED] }, 'x').payloadHash, UNSIGNED)
  t.notOk(needs({ ...said(UNSIGNED), path: '/bucket?delete' }), 'elsewhere it streams')
  t.notOk(needs({ ...said(UNSIGNED), method: 'PUT' }))
  t.notOk(needs({ ...said(UNSIGNED), host: 'b.s3.eu-west-1.amazonaws.com' }))
  t.end()
})

void t.test('what gives keys is found there however its body is signed', (t) => {
  const form = 'Version=2011-06-15&Action=AssumeRole'
  const gives = 'credential-unavailable: the answer would be keys of its own'
  for (const service of ['s3', 'sqs', 'iam'])
    for (const [text, expected] of [
      [form, gives],
      ['Action=List', undefined],
    ] as const)
      for (const headers of [[], [HASH, UNSIGNED], [HASH, hashPayload(Buffer.from(text))]])
        t.equal(whyNot({ service, headers }, text), expected, `${service} ${text}`)
  const unserved = 'credential-unavailable: the client signs its body in a way that is not served'
  for (const how of [
    'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
  ]) {
    const headers = [HASH, how]
    t.equal(whyNot({ headers }, '0\r\n\r\n'), unserved, how)
    t.notOk(awsSigner.needsBody(INJECT, request({ headers, path: '/bucket/key', method: 'PUT' })))
  }
  t.end()
})

void t.test('a copy is not signed, in whatever spelling its source is named', (t) => {
  const put = { method: 'PUT', path: '/bucket/key' }
  const copies = 'credential-unavailable: it copies from a place that no rule has judged'
  for (const host of [ELSEWHERE, 's3.eu-west-1.amazonaws.com']) {
    t.equal(whyNot({ ...put, host }), undefined)
    for (const name of ['x-amz-copy-source', 'X-Amz-Copy-Source', 'x_amz_copy_source'])
      t.equal(whyNot({ ...put, host, headers: [name, '/other/secret'] }), copies, name)
    for (const name of ['x-amz-copy-source', 'X-Amz-Copy-Source', 'x-amz-copy-sourc%65'])
      t.equal(whyNot({ ...put, host, path: `/bucket/key?${name}=%2Fo` }), copies, name)
    const ranged = ['x-amz-copy-source-range', 'bytes=0-1']
    t.equal(whyNot({ ...put, host, headers: ranged }), undefined, 'a range alone copies nothing')
  }
  t.equal(whyNot({ service: 'sqs', headers: ['x-amz-copy-source', 'x'] }), undefined)
  t.end()
})
