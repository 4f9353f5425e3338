// Signing for AWS seen from both ends: the AWS CLI and curl with keys that are placeholders, an S3 and an STS that verify.

import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import path from 'node:path'

import t from 'tap'

import { AwsKeys } from '../fixtures/aws-keys.ts'
import { startS3, type SeenByS3 } from '../fixtures/s3-server.ts'
import {
  exchange,
  request,
  ruleSet,
  scenario,
  type ClientRun,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startSts } from '../fixtures/sts-server.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const ID = 'AKIACANARY7Q2W9E4R6T'
const SECRET = 'canary/aws+secret/8c1f5a0e7d3b2946a1c8e5f7'
const AWS_KEYS = JSON.stringify({ accessKeyId: ID, secretAccessKey: SECRET })
const ZEROS = '0'.repeat(64)
const hasCli = spawnSync('aws', ['--version']).status === 0

void t.test('aws', async (t) => {
  const keys = new AwsKeys()
  keys.add(ID, { secretAccessKey: SECRET })
  const s3 = await startS3(['s3.test'], keys)
  const sts = await startSts(['sts.test'], keys)
  t.teardown(() => Promise.all([s3.close(), sts.close()]))
  const at = { s3: `s3.test:${s3.port}`, sts: `sts.test:${sts.port}` }
  const partsOf = (name: string): string =>
    `{ accessKeyId: { env: ${name}_ID }, secretAccessKey: { env: ${name}_SECRET }, sessionToken: { env: ${name}_SESSION } }`
  const config = `credentials:
  aws:
    source: { env: AWS_KEYS, format: json }
    inject: { sigv4: {} }
    hosts: ['${at.s3}', '${at.sts}']
    answers: { imds: true }
  bound:
    source: { env: AWS_KEYS, format: json }
    inject: { sigv4: { service: s3, region: eu-central-1 } }
    hosts: ['${at.s3}']
    placeholder: { parts: ${partsOf('BOUND')} }
  wrong:
    source: { env: WRONG_KEYS, format: json }
    inject: { sigv4: {} }
    hosts: ['${at.s3}']
    placeholder: { parts: ${partsOf('WRONG')} }
`
  const rules = ruleSet(
    `id: bound, allow: 'https://${at.s3}', paths: ['/bucket/bound/**'], credential: bound, ${LOOPBACK}`,
    `id: wrong, allow: 'https://${at.s3}', paths: ['/bucket/wrong/**'], credential: wrong, ${LOOPBACK}`,
    `id: s3, allow: 'https://${at.s3}', paths: ['/bucket', '/bucket/free/**'], credential: aws, ${LOOPBACK}`,
    `id: sts, allow: 'https://${at.sts}', credential: aws, ${LOOPBACK}`,
  )
  const options = {
    hosts: ['s3.test', 'sts.test'],
    config,
    rules,
    secrets: {
      AWS_KEYS,
      WRONG_KEYS: JSON.stringify({
        accessKeyId: ID,
        secretAccessKey: 'canary/not-the-key/0123456789',
      }),
    },
  }
  const aws = (cx: Scenario, ...words: string[]): Promise<ClientRun> =>
    cx.client('aws', words, {
      env: {
        AWS_SECRET_ACCESS_KEY: 'placeholder',
        AWS_DEFAULT_REGION: 'eu-central-1',
        AWS_ENDPOINT_URL_S3: `https://${at.s3}`,
        AWS_ENDPOINT_URL_STS: `https://${at.sts}`,
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_MAX_ATTEMPTS: '1',
      },
    })

  /** What a client that signs sends, whatever its signature is worth. */
  const signed = (id: string, service = 's3', region = 'eu-central-1'): string =>
    `Authorization: AWS4-HMAC-SHA256 Credential=${id}/20200101/${region}/${service}/aws4_request, SignedHeaders=host;x-amz-date, Signature=${ZEROS}`
  const call = async (
    cx: Scenario,
    method: string,
    host: string,
    target: string,
    headers: readonly string[],
    body?: string,
  ): Promise<string> =>
    exchange(
      await cx.secure(host),
      request(method, target, host, { headers, ...(body !== undefined && { body }) }),
    )
  const lastOfS3 = (): SeenByS3 => s3.seen.at(-1)!

  scenario(
    t,
    'R18: what is signed is what is sent: odd keys, all ways to sign a body',
    options,
    async (cx, t) => {
      cx.guard('secret', SECRET)
      const id = cx.env()['AWS_ACCESS_KEY_ID'] ?? ''
      t.match(id, /^AKIA\w{16}$/)
      const plain = [signed(id), 'X-Amz-Date: 20200101T000000Z']
      const odd = ['a%20b', 'a+b', '%2B%25', '%C3%A9/%E1%88%B4', 'x(y)!*~', "it's,$@&=:;", 'a%2Fb']
      for (const name of odd) {
        const target = `/bucket/free/${name}`
        t.match(await call(cx, 'PUT', at.s3, target, plain, name), /^HTTP\/1\.1 200/, name)
        t.equal(lastOfS3().target, target, 'byte for byte')
        t.match(await call(cx, 'GET', at.s3, target, plain), name, 'and back')
      }
      const list = '/bucket?prefix=free%2Fa+b&list-type=2&encoding-type=url&start-after='
      t.match(await call(cx, 'GET', at.s3, list, plain), /^HTTP\/1\.1 200/)
      const hash = createHash('sha256').update('content').digest('hex')
      for (const said of ['UNSIGNED-PAYLOAD', hash, hash.toUpperCase()])
        t.match(
          await call(
            cx,
            'PUT',
            at.s3,
            '/bucket/free/said',
            [...plain, `X-Amz-Content-Sha256: ${said}`],
            'content',
          ),
          said === hash.toUpperCase() ? /^HTTP\/1\.1 403/ : /^HTTP\/1\.1 200/,
          said,
        )
      for (const [kind, body] of Object.entries(chunked())) {
        const headers = [
          ...plain,
          `X-Amz-Content-Sha256: ${kind}`,
          'X-Amz-Decoded-Content-Length: 70000',
          ...(kind.endsWith('TRAILER') ? ['X-Amz-Trailer: x-amz-checksum-crc32'] : []),
        ]
        const put = await call(cx, 'PUT', at.s3, '/bucket/free/chunks', headers, body)
        t.match(put, /^HTTP\/1\.1 200/, kind)
        t.equal(lastOfS3().verified?.body.toString(), 'c'.repeat(70_000), 'every chunk is verified')
      }
      const one = await cx.record(({ http }) => http?.request?.method === 'PUT')
      t.match(one.sallyport.credential, { name: 'aws', action: 'replaced' })
      t.notOk(JSON.stringify(s3.seen).includes(id), 'no placeholder arrives')
    },
  )

  scenario(t, 'R18: a presigned URL is signed anew in the URL', options, async (cx, t) => {
    cx.guard('secret', SECRET)
    const id = cx.env()['AWS_ACCESS_KEY_ID'] ?? ''
    const now = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
    const presigned = (asked: string, date = now, key = id): string =>
      `/bucket/free/a%20b?versionId=x%2By&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${key}%2F20200101%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Date=${date}&X-Amz-Expires=${asked}&X-Amz-SignedHeaders=host&X-Amz-Signature=${ZEROS}`
    t.match(await call(cx, 'PUT', at.s3, presigned('600'), [], 'text'), /^HTTP\/1\.1 200/)
    t.match(await call(cx, 'GET', at.s3, presigned('604800'), []), /text$/)
    const { target, rawHeaders, verified } = lastOfS3()
    t.equal(verified?.isPresigned, true)
    t.match(target, /^\/bucket\/free\/a%20b\?versionId=x%2By&X-Amz-Algorithm=/)
    const seconds = Number(new URLSearchParams(target.split('?')[1]).get('X-Amz-Expires'))
    t.ok(seconds > 0 && seconds <= 900, 'valid for no longer than clocks may differ')
    t.notMatch(rawHeaders.join(), /authorization/i)
    const over = await call(cx, 'GET', at.s3, presigned('600', '20200101T000000Z'), [])
    t.match(over, / 502 Sallyport: credential-unavailable/)
    const twice = await call(cx, 'GET', at.s3, presigned('600'), [signed('AKIAOTHER')])
    t.match(twice, / 502 Sallyport: credential-unavailable/)
    const elsewhere = await call(cx, 'GET', at.s3, `/bucket/free/${id}`, [])
    t.match(elsewhere, / 403 Sallyport: placeholder-misused/)
    if (hasCli) {
      const url = await aws(cx, 's3', 'presign', 's3://bucket/free/a b', '--expires-in', '300')
      t.match(url, { status: 0, stdout: /X-Amz-Signature=/ })
      const got = await cx.client('curl', ['-sS', '--fail-with-body', url.stdout.trim()])
      t.match(got, { status: 0, stdout: 'text' }, got.stderr)
    }
  })

  scenario(
    t,
    'R22: what the sandbox signs with keys of its own leaves signed with ours, or not at all',
    options,
    async (cx, t) => {
      cx.guard('secret', SECRET)
      const own = [
        signed('AKIATHIEF'),
        'X-Amz-Security-Token: theirs',
        'X-Amz-Date: 20200101T000000Z',
      ]
      t.match(await call(cx, 'PUT', at.s3, '/bucket/free/own', own, 'x'), /^HTTP\/1\.1 200/)
      t.equal(lastOfS3().verified?.accessKeyId, ID)
      t.notMatch(JSON.stringify(lastOfS3().rawHeaders), /theirs|THIEF|20200101T/)
      t.match(await call(cx, 'GET', at.s3, '/bucket/bound/own', own), /^HTTP\/1\.1 404/)
      t.equal(lastOfS3().verified?.accessKeyId, ID, 'the allowed twin of the next ones')
      t.match(await call(cx, 'GET', at.s3, '/bucket/bound/own', []), /^HTTP\/1\.1 404/)
      const old = '/bucket/free/own?AWSAccessKeyId=AKIATHIEF&Expires=9999999999&Signature=x'
      t.match(await call(cx, 'GET', at.s3, old, own), /^HTTP\/1\.1 200/)
      t.equal(lastOfS3().target, '/bucket/free/own?Expires=9999999999')
      const before = s3.seen.length
      const refused: [string, string, readonly string[]][] = [
        ['nothing says the service', '/bucket/free/own', []],
        ['another region', '/bucket/bound/own', [signed('AKIA', 's3', 'us-east-1')]],
        ['another service', '/bucket/bound/own', [signed('AKIA', 'execute-api')]],
        ['SigV4A', '/bucket/free/own', [signed('AKIA').replace('HMAC', 'ECDSA-P256')]],
        ['twice', '/bucket/free/own', [signed('AKIA'), signed('AKIA')]],
        ['a session of S3', '/bucket?session', own],
        [
          'chunks of SigV4A',
          '/bucket/free/own',
          [...own, 'X-Amz-Content-Sha256: STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD'],
        ],
      ]
      for (const [why, target, headers] of refused)
        t.match(
          await call(cx, 'GET', at.s3, target, headers),
          / 502 Sallyport: credential-unavailable/,
          why,
        )
      t.equal(s3.seen.length, before, 'nothing arrived')
      t.match(
        await call(cx, 'GET', at.s3, '/bucket/wrong/x', own),
        /^HTTP\/1\.1 403/,
        'a wrong key',
      )
      t.equal(lastOfS3().refusal, 'SignatureDoesNotMatch')
    },
  )

  scenario(t, 'R18: a body that is not what it says is broken off', options, async (cx, t) => {
    cx.guard('secret', SECRET)
    const plain = [signed('AKIA'), 'X-Amz-Date: 20200101T000000Z']
    const before = s3.seen.length
    const put = async (said: string, body: string): Promise<void> => {
      const headers = [...plain, `X-Amz-Content-Sha256: ${said}`]
      t.notMatch(
        await call(cx, 'PUT', at.s3, '/bucket/free/broken', headers, body),
        /^HTTP\/1\.1 200/,
      )
    }
    await put(createHash('sha256').update('other').digest('hex'), 'content')
    const chunks = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
    await put(chunks, 'content')
    await put(chunks, `5;chunk-signature=${ZEROS}\r\ncontent\r\n`)
    await put(chunks, `5;chunk-signature=${ZEROS}\r\nconte\r\n`)
    await put(chunks, `200000;chunk-signature=${ZEROS}\r\nconte\r\n`)
    t.equal(s3.seen.length, before, 'none arrived whole')
  })

  scenario(t, 'STS is asked who it is, and for no keys', options, async (cx, t) => {
    cx.guard('secret', SECRET)
    const form = ['Content-Type: application/x-www-form-urlencoded', signed('AKIA', 'sts')]
    const ask = (body: string, query = ''): Promise<string> =>
      call(cx, 'POST', at.sts, `/${query}`, form, body)
    const who = 'Action=GetCallerIdentity&Version=2011-06-15'
    t.match(await ask(who), /user\/robot/)
    for (const [body, query] of [
      ['Action=AssumeRole&Version=2011-06-15'],
      ['Action=GetSessionToken&Version=2011-06-15'],
      [`${who}&Action=GetSessionToken`],
      [`${who}&%61ction=GetSessionToken`],
      [who, '?Action=GetSessionToken'],
      [''],
    ] as const)
      t.match(await ask(body, query), / 502 Sallyport: credential-unavailable/, body)
    t.equal(sts.sessions.length, 0)
  })
  scenario(
    t,
    'R18: the AWS CLI signs with placeholders, and uploads and downloads in parts',
    options,
    async (cx, t) => {
      if (!hasCli) {
        t.comment('no AWS CLI here')
        return
      }
      cx.guard('secret', SECRET)
      const before = s3.seen.length
      const bytes = randomBytes(9 * 1024 * 1024 + 7)
      const file = path.join(cx.directory, 'up')
      writeFileSync(file, bytes)
      const up = await aws(cx, 's3', 'cp', file, 's3://bucket/free/up')
      t.equal(up.status, 0, `${up.stdout}${up.stderr}`)
      const down = await aws(cx, 's3', 'cp', 's3://bucket/free/up', `${file}.down`)
      t.equal(down.status, 0, `${down.stdout}${down.stderr}`)
      const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex')
      t.equal(digest(readFileSync(`${file}.down`)), digest(bytes))
      const arrived = s3.seen.slice(before)
      t.strictSame(
        arrived.flatMap(({ refusal }) => refusal ?? []),
        [],
      )
      t.ok(
        arrived.some(({ target }) => target.includes('partNumber=2')),
        'in parts',
      )
      t.comment([...new Set(arrived.map(({ verified }) => verified?.payloadHash ?? ''))].join(' '))
      t.notOk(JSON.stringify(arrived).includes('AWS_ACCESS'))
      const who = await aws(cx, 'sts', 'get-caller-identity')
      t.match(who, { status: 0, stdout: /user\/robot/ })
    },
  )
  scenario(
    t,
    'R17: the AWS CLI without keys takes placeholders from the metadata service, and is let in',
    options,
    async (cx, t) => {
      if (!hasCli) {
        t.comment('no AWS CLI here')
        return
      }
      cx.guard('secret', SECRET)
      const keyless = Object.entries(cx.env()).filter(([name]) => !name.startsWith('AWS_'))
      const who = await cx.client('aws', ['sts', 'get-caller-identity'], {
        variables: Object.fromEntries(keyless),
        env: { AWS_DEFAULT_REGION: 'eu-central-1', AWS_ENDPOINT_URL_STS: `https://${at.sts}` },
      })
      t.match(who, { status: 0, stdout: /user\/robot/ }, who.stderr)
      const asked = cx
        .records()
        .filter(({ sallyport }) => sallyport.credential?.action === 'answered')
      t.ok(asked.length > 0, 'here, and nowhere else')
    },
  )
})

/** A body of 70,000 bytes in the forms that S3 takes chunks in, by how they are said. */
function chunked(): Record<string, string> {
  const pieces = ['c'.repeat(65_536), 'c'.repeat(4464), '']
  const write = (extension: string): string =>
    pieces
      .map(
        (piece) =>
          `${piece.length.toString(16)}${extension}\r\n${piece}${piece === '' ? '' : '\r\n'}`,
      )
      .join('')
  const trailer = 'x-amz-checksum-crc32:AAAAAA==\r\n'
  const chunks = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
  return {
    [chunks]: `${write(`;chunk-signature=${ZEROS}`)}\r\n`,
    [`${chunks}-TRAILER`]: `${write(`;chunk-signature=${ZEROS}`)}${trailer}x-amz-trailer-signature:${ZEROS}\r\n\r\n`,
    'STREAMING-UNSIGNED-PAYLOAD-TRAILER': `${write('')}${trailer}\r\n`,
  }
}
