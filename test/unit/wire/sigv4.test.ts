// Proves the signer by what AWS publishes, and by botocore where there is one.

import { execFileSync, spawnSync } from 'node:child_process'

import * as fc from 'fast-check'
import t from 'tap'

import {
  encodeForSigning,
  formatSigningTime,
  hashPayload,
  parseSigningTime,
  signChunks,
  signRequest,
} from '../../../src/wire/sigv4.ts'
import {
  CHUNKED,
  S3,
  S3_KEYS,
  SUITE,
  SUITE_KEYS,
  type PublishedVector,
  type VectorKeys,
} from '../../fixtures/sigv4-vectors.ts'
import { RefusedSignature, verifySignature } from '../../fixtures/sigv4-verifier.ts'

function sign(vector: PublishedVector, keys: VectorKeys): string {
  const { method, path, query, headers, body = '' } = vector
  const payloadHash = vector.payloadHash ?? hashPayload(Buffer.from(body))
  return signRequest({ method, path, query, headers, payloadHash }, keys.secretAccessKey, keys)
    .signature
}

void t.test('R18: every published vector comes out', (t) => {
  for (const vector of SUITE) t.equal(sign(vector, SUITE_KEYS), vector.signature, vector.name)
  for (const vector of S3) t.equal(sign(vector, S3_KEYS), vector.signature, vector.name)
  t.end()
})

void t.test('R18: the published uploads in chunks come out, signature by signature', (t) => {
  for (const { headers, payloadHash, seed, chunks, trailer } of CHUNKED) {
    // The examples that have a length sign what frames them, too.
    const signed = headers
    const target = { method: 'PUT', path: '/examplebucket/chunkObject.txt', query: undefined }
    const { signature, key } = signRequest(
      { ...target, headers: signed, payloadHash },
      S3_KEYS.secretAccessKey,
      S3_KEYS,
    )
    t.equal(signature, seed)
    const signer = signChunks(key, S3_KEYS, signature)
    const sizes = [65_536, 1024, 0]
    t.strictSame(
      sizes.map((size) => signer.sign(Buffer.alloc(size, 'a'))),
      chunks,
    )
    if (trailer) t.equal(signer.signTrailers(`${trailer.line}\n`), trailer.signature)
  }
  t.end()
})

void t.test('times are written as they are read', (t) => {
  t.equal(formatSigningTime(Date.UTC(2015, 7, 30, 12, 36, 0, 999)), '20150830T123600Z')
  t.equal(parseSigningTime('20150830T123600Z'), Date.UTC(2015, 7, 30, 12, 36))
  for (const text of ['', '2015-08-30T12:36:00Z', '20151330T123600Z', '20150830T123600'])
    t.equal(parseSigningTime(text), undefined, text)
  t.end()
})

void t.test("the tests' own verifier agrees, and refuses any other byte", (t) => {
  const characters = fc.constantFrom(...'aZ0/-_.~ +%&=;:?#!*()\'"$,@[]{}|\\^`<>é\u00ff'.split(''))
  const key = fc.string({ unit: characters, maxLength: 24 })
  const escape = (text: string): string => encodeForSigning(text).replaceAll('%2F', '/')
  fc.assert(
    fc.property(key, key, key, fc.constantFrom('s3', 'execute-api'), (at, name, value, service) => {
      const scope = { time: '20150830T123600Z', region: 'eu-west-1', service }
      const query = `${encodeForSigning(name)}=${encodeForSigning(value)}&list-type=2&flag`
      const body = Buffer.from(value, 'latin1')
      const payloadHash = hashPayload(body)
      const headers = [
        'Host',
        'a.test',
        'X-Amz-Date',
        scope.time,
        'X-Amz-Content-Sha256',
        payloadHash,
      ]
      const target = `/bucket/${escape(at)}`
      const signed = signRequest(
        { method: 'PUT', path: target, query, headers, payloadHash },
        'secret',
        scope,
      )
      const authorization = `AWS4-HMAC-SHA256 Credential=AKID/20150830/eu-west-1/${service}/aws4_request, SignedHeaders=${signed.signedHeaders}, Signature=${signed.signature}`
      const known = {
        secretOf: () => 'secret',
        service,
        region: 'eu-west-1',
        now: Date.UTC(2015, 7, 30, 12, 40),
      }
      const arrived = {
        method: 'PUT',
        target: `${target}?${query}`,
        rawHeaders: [...headers, 'Authorization', authorization],
        body,
      }
      verifySignature(arrived, known)
      for (const other of [
        { ...arrived, method: 'GET' },
        { ...arrived, target: `${target}x?${query}` },
        { ...arrived, target: `${target}?${query}&a=` },
        { ...arrived, body: Buffer.concat([body, Buffer.from('x')]) },
      ])
        try {
          verifySignature(other, known)
          return false
        } catch (error) {
          if (!(error instanceof RefusedSignature)) throw error
        }
      return true
    }),
    { numRuns: 300 },
  )
  t.end()
})

const BOTOCORE = `
import datetime, json, sys
import botocore.auth as auth, botocore.awsrequest as request, botocore.credentials as credentials
fixed = datetime.datetime(2015, 8, 30, 12, 36, 0)
auth.get_current_datetime = lambda *a, **k: fixed
out = []
for case in json.load(sys.stdin):
    keys = credentials.Credentials('AKID', 'secret', case.get('token'))
    kinds = {'s3': auth.S3SigV4Auth, 's3-query': auth.S3SigV4QueryAuth, 'query': auth.SigV4QueryAuth}
    kind = kinds.get(case['kind'], auth.SigV4Auth)
    made = request.AWSRequest(method=case['method'], url=case['url'], headers=case['headers'], data=case['body'].encode())
    kind(keys, case['service'], 'eu-west-1').add_auth(made)
    out.append({'url': made.url, 'headers': dict(made.headers.items())})
json.dump(out, sys.stdout)
`

/** A Python that has botocore: the AWS CLI's own. */
function findBotocore(): string | undefined {
  const beside = spawnSync(
    'sh',
    ['-c', 'head -n 1 "$(pyenv which aws 2>/dev/null || command -v aws)"'],
    { encoding: 'utf8' },
  )
  const own = /^#!\s*(\S+)/.exec(beside.stdout)?.[1]
  return [own, 'python3'].find(
    (python) =>
      python !== undefined && spawnSync(python, ['-c', 'import botocore.auth']).status === 0,
  )
}

void t.test('R18: botocore signs the same', (t) => {
  const python = findBotocore()
  if (python === undefined) {
    t.comment('no botocore here')
    t.end()
    return
  }
  const target = (at: string, query = ''): string =>
    `https://a.test${at}${query === '' ? '' : `?${query}`}`
  const type = { 'Content-Type': 'application/x-www-form-urlencoded' }
  const cases = [
    {
      kind: 's3',
      service: 's3',
      method: 'PUT',
      url: target('/b/a%20b/%2B%25/%C3%A9//x%28y%29~'),
      headers: { 'x-amz-meta-a': ' a  b ' },
      body: 'text',
    },
    {
      kind: 's3',
      service: 's3',
      method: 'GET',
      url: target('/b', 'list-type=2&prefix=a%2Fb&delimiter=%2F'),
      headers: {},
      body: '',
      token: 'to+ken/=',
    },
    {
      kind: 'v4',
      service: 'execute-api',
      method: 'POST',
      url: target('/prod/a%20b/../c//d%2Fe/', 'b=2&a=1&a=0'),
      headers: type,
      body: 'x=1',
      token: 'to+ken/=',
    },
    {
      kind: 'v4',
      service: 'lambda',
      method: 'POST',
      url: target('/2015-03-31/functions/arn%3Aaws%3Alambda/invocations'),
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    },
    {
      kind: 's3-query',
      service: 's3',
      method: 'GET',
      url: target('/b/a%20b', 'versionId=x%2By'),
      headers: {},
      body: '',
      token: 'to+ken/=',
    },
    {
      kind: 'query',
      service: 'sts',
      method: 'GET',
      url: target('/', 'Action=GetCallerIdentity&Version=2011-06-15'),
      headers: {},
      body: '',
    },
  ]
  const answers: { url: string; headers: Record<string, string> }[] = JSON.parse(
    execFileSync(python, ['-c', BOTOCORE], { input: JSON.stringify(cases), encoding: 'utf8' }),
  )
  for (const [at, { method, body, kind, service }] of cases.entries()) {
    const { url, headers } = answers[at]!
    const [start = '', query = ''] = url.slice('https://a.test'.length).split('?')
    const kept = query
      .split('&')
      .filter((part) => part !== '' && !part.startsWith('X-Amz-Signature='))
    const fields = Object.entries(headers).filter(([name]) => name !== 'Authorization')
    const { signature } = signRequest(
      {
        method,
        path: start,
        query: kept.join('&'),
        headers: [...fields.flat(), 'Host', 'a.test'],
        payloadHash: kind === 's3-query' ? 'UNSIGNED-PAYLOAD' : hashPayload(Buffer.from(body)),
      },
      'secret',
      { time: '20150830T123600Z', region: 'eu-west-1', service },
    )
    const theirs = `${url} ${headers['Authorization'] ?? ''}`
    t.ok(theirs.includes(`Signature=${signature}`), `${kind} ${method} ${url.slice(0, 60)}`)
  }
  t.end()
})
