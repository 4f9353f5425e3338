// Sessions of AWS roles, one a task, from an STS that verifies how it is asked, used at an S3 that holds them to their policy.

import t from 'tap'

import { AwsKeys } from '../fixtures/aws-keys.ts'
import { startS3 } from '../fixtures/s3-server.ts'
import { exchange, request, scenario } from '../fixtures/scenario.ts'
import { startSts } from '../fixtures/sts-server.ts'

const ID = 'AKIACANARY7Q2W9E4R6T'
const SECRET = 'canary/aws+secret/8c1f5a0e7d3b2946a1c8e5f7'

void t.test('sessions', async (t) => {
  let clock = Date.now
  const keys = new AwsKeys(() => clock())
  keys.add(ID, { secretAccessKey: SECRET })
  const s3 = await startS3(['s3.test'], keys)
  const sts = await startSts(['sts.test'], keys)
  t.teardown(() => Promise.all([s3.close(), sts.close()]))
  const host = `s3.test:${s3.port}`
  const options = {
    hosts: ['s3.test', 'sts.test'],
    config: `credentials:
  aws:
    source:
      aws:
        region: eu-central-1
        endpoint: 'https://sts.test:${sts.port}'
        using: { env: AWS_KEYS }
        assumeRole:
          roleArn: 'arn:aws:iam::123456789012:role/agent'
          policy: { Statement: [{ Effect: Allow, Action: 's3:*', Resource: 'arn:aws:s3:::bucket/{team}/*' }] }
    inject: { sigv4: { service: s3, region: eu-central-1 } }
    hosts: ['${host}']
`,
    rules: {
      set: `ruleset: set
owner: a@example.com
params: { team: { pattern: '[a-z]+' } }
rules:
  - { id: s3, allow: 'https://${host}', paths: ['/bucket/**'], credential: aws, addresses: [127.0.0.0/8] }
`,
    },
    params: { team: 'red' },
    expires: '5m',
    secrets: { AWS_KEYS: JSON.stringify({ accessKeyId: ID, secretAccessKey: SECRET }) },
  }
  scenario(t, 'R20: a task has a session that ends with it', options, async (cx, t) => {
    const put = async (at: string): Promise<string> =>
      exchange(await cx.secure(host), request('PUT', at, host, { body: 'text' }))
    t.match(await put('/bucket/red/a'), /^HTTP\/1\.1 200/)
    t.match(await put('/bucket/blue/a'), /AccessDenied/, 'what its policy does not say')
    t.equal(sts.sessions.length, 1, 'one session')
    const [session] = sts.sessions
    t.match(session, { to: ID, seconds: 900, name: /^sallyport-t_/ })
    cx.guard('session', session!.secretAccessKey)
    cx.guard('token', session!.sessionToken)
    t.equal(s3.seen.at(-1)?.refusal, 'AccessDenied')
    const now = Date.now()
    const later = (): number => now + 6 * 60_000
    clock = later
    const { accessKeyId, sessionToken } = session!
    const asked = ['s3:PutObject', 'arn:aws:s3:::bucket/red/a'] as const
    t.equal(keys.refusal(accessKeyId, sessionToken, ...asked), 'AccessDenied', 'after the task')
    clock = Date.now
    t.equal(keys.refusal(accessKeyId, sessionToken, ...asked), undefined, 'and not before')
  })
})
