// What a session of a role is asked for, below other tasks.

import t from 'tap'

import { ProviderError, type MintRequest } from '../../../../src/credentials/issuer.ts'
import { AwsIssuer } from '../../../../src/credentials/issuers/aws.ts'
import type { Task } from '../../../../src/tasks/task.ts'
import { taskFor } from '../support.ts'

void t.test('a task below another cannot swap what the places of one above say', async (t) => {
  const issuer = new AwsIssuer({
    source: {
      kind: 'aws',
      endpoint: 'https://sts.test/',
      region: 'eu-central-1',
      role: {
        roleArn: 'arn:aws:iam::1:role/r',
        sessionName: 'x-{task}',
        policy: {
          Statement: [
            { Effect: 'Allow', Action: 's3:GetObject', Resource: '{read}' },
            { Effect: 'Allow', Action: 's3:PutObject', Resource: '{write}' },
          ],
        },
        policyArns: [],
        externalId: undefined,
        durationMs: 3_600_000,
      },
      login: { kind: 'keys', from: { env: 'KEYS' } },
    },
    provider: { ask: () => Promise.reject(new ProviderError('asked')) },
    login: () => Promise.reject(new ProviderError('asked')),
    now: Date.now,
  })
  const mint = (params: Task['params'], above: Task['params']): Promise<unknown> => {
    const request: MintRequest = {
      task: taskFor(params),
      above: [taskFor(above)],
      notAfter: Date.now() + 60_000,
      signal: new AbortController().signal,
    }
    return issuer.mint(request)
  }
  const params = { read: 'one', write: 'two' }
  await t.rejects(mint(params, params), { message: 'asked' })
  await t.rejects(mint({ read: 'two', write: 'one' }, params), {
    message: 'it would be wider than that of a task above',
  })
})
