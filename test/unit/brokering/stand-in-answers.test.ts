import t from 'tap'

import { answerQuestion, type StandInQuestion } from '../../../src/brokering/stand-in-answers.ts'
import { completePlaceholders } from '../../../src/config/credentials/placeholder-schema.ts'
import { credentialSchema } from '../../../src/config/credentials/credential-schema.ts'
import { placesOf } from '../../../src/credentials/stand-ins.ts'
import { define, makeStore, TASK } from '../inject/support.ts'

const NOW = Date.parse('2026-05-01T12:00:00Z')
const AWS = define(
  { kind: 'bearer' },
  {
    name: 'aws',
    ...completePlaceholders('aws', 'sigv4', {}),
    answers: { imds: true, ecs: true },
  },
)
const store = makeStore([AWS])
const ROLES = '/latest/meta-data/iam/security-credentials'

const ask = (question: Partial<StandInQuestion>): ReturnType<typeof answerQuestion> =>
  answerQuestion({
    definition: AWS,
    kind: 'imds',
    method: 'GET',
    path: ROLES,
    ttl: undefined,
    placeholderOf: (part) => store.placeholder(TASK, 'aws', part),
    now: NOW,
    endsAt: NOW + 600_000,
    ...question,
  })

void t.test(
  'R17: the metadata service of AWS is answered with placeholders, by either version',
  (t) => {
    t.match(ask({ method: 'PUT', path: '/latest/api/token', ttl: '21600' }), {
      status: 200,
      headers: ['X-aws-ec2-metadata-token-ttl-seconds', '21600'],
    })
    for (const ttl of [undefined, '0', '21601', 'x'])
      t.match(ask({ method: 'PUT', path: '/latest/api/token', ttl }), { status: 400 })
    t.match(ask({ path: `${ROLES}/` }), { status: 200, text: 'aws' })
    const variables = store.placeholderVariables(TASK)
    const keys = {
      AccessKeyId: variables['AWS_ACCESS_KEY_ID'],
      SecretAccessKey: variables['AWS_SECRET_ACCESS_KEY'],
      Token: variables['AWS_SESSION_TOKEN'],
      Expiration: '2026-05-01T12:10:00Z',
    }
    t.match(JSON.parse(ask({ path: `${ROLES}/aws` })?.text ?? ''), { Code: 'Success', ...keys })
    t.match(
      JSON.parse(ask({ path: `${ROLES}/aws`, endsAt: NOW + 7_200_000 })?.text ?? ''),
      { Expiration: '2026-05-01T13:00:00Z' },
      'no longer than an hour',
    )
    t.strictSame(
      JSON.parse(
        ask({ kind: 'ecs', path: variables['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'] ?? '' })
          ?.text ?? '',
      ),
      keys,
    )
    t.end()
  },
)

void t.test('nothing else at these addresses is answered', (t) => {
  for (const path of [
    '/',
    '/latest/user-data',
    '/latest/meta-data/',
    `${ROLES}/other`,
    `${ROLES}//aws`,
  ])
    t.equal(ask({ path }), undefined, path)
  t.equal(ask({ method: 'POST' }), undefined)
  t.equal(ask({ kind: 'ecs', path: '/v2/credentials/other' }), undefined)
  t.equal(ask({ kind: 'oauth', method: 'GET' }), undefined)
  t.strictSame(
    placesOf({ imds: true, ecs: true, oauth: 'https://idp.test/token' }).map(
      ({ scheme, endpoint: { host, port }, path }) => `${scheme} ${host} ${port} ${path ?? ''}`,
    ),
    ['http 169.254.169.254 80 ', 'http 169.254.170.2 80 ', 'https idp.test 443 /token'],
  )
  const isRead = (answers: object): boolean =>
    credentialSchema.safeParse({
      source: { env: 'A' },
      inject: { bearer: true },
      hosts: ['a.test'],
      answers,
    }).success
  t.ok(isRead({ oauth: 'https://idp.test/token' }))
  t.notOk(isRead({ oauth: 'http://idp.test/token' }))
  t.notOk(isRead({ imds: true }), 'only for what signs for AWS')
  t.end()
})
