// The policy of a session of AWS: what the definition says, and that all is denied once the task is over. Pure; called by
// `aws.ts`.

import type { AwsRole, JsonObject } from '../source-definition.ts'
import { ProviderError } from '../issuer.ts'

/** What STS takes at most. */
const POLICY_LENGTH_MAX = 2048
const ALL = { Effect: 'Allow', Action: '*', Resource: '*' }

/**
 * Writes the policy of a session.
 * @param denyAfter epoch milliseconds by the provider's clock
 * @param fillIn puts the task's params into texts
 */
export function sessionPolicy(
  { policy, policyArns }: Pick<AwsRole, 'policy' | 'policyArns'>,
  denyAfter: number,
  fillIn: (texts: readonly string[]) => readonly string[],
): string {
  const end = {
    Effect: 'Deny',
    Action: '*',
    Resource: '*',
    Condition: {
      DateGreaterThan: { 'aws:CurrentTime': new Date(denyAfter).toISOString().replace('.000', '') },
    },
  }
  const { Statement: written = [], ...rest } = policy === undefined ? {} : fill(policy, fillIn)
  // A session may do what its role may and any policy of it allows: beside managed ones an own one must not allow more.
  const usual = policy === undefined && policyArns.length === 0 ? [ALL] : []
  const text = JSON.stringify({
    Version: '2012-10-17',
    ...rest,
    Statement: [...usual, ...[written].flat(), end],
  })
  if (text.length > POLICY_LENGTH_MAX)
    throw new ProviderError('the policy of the session is longer than STS takes', {
      isLasting: true,
    })
  return text
}

// Texts alone are filled, before they become JSON: a param is never anything but a part of a text.
function fill(
  policy: JsonObject,
  fillIn: (texts: readonly string[]) => readonly string[],
): JsonObject {
  const texts: string[] = []
  const text = JSON.stringify(policy)
  JSON.parse(text, (_, value: unknown) => (typeof value === 'string' ? texts.push(value) : value))
  const filled = fillIn(texts).values()
  const read: JsonObject = JSON.parse(text, (_, value: unknown) =>
    typeof value === 'string' ? filled.next().value : value,
  )
  return read
}
