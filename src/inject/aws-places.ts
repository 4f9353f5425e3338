// Where what stands for a key of AWS may stand: the access key's id in what a request is signed with, the session's token in the
// field that is for it, the secret key nowhere. Called by `screen.ts`.

import { decodePercent } from '../wire/percent.ts'
import { readAuthorization, readCredential } from './aws-signature.ts'
import type { QueryPart } from './query.ts'

const TOKEN_PLACE = 'x-amz-security-token'

/** Whether a placeholder of a part stands rightly in a header. */
export function isRightAwsHeader(
  part: string,
  placeholder: string,
  name: string,
  value: string,
): boolean {
  const lower = name.toLowerCase()
  if (part === 'sessionToken') return lower === TOKEN_PLACE && value === placeholder
  if (part !== 'accessKeyId' || lower !== 'authorization') return false
  const isOnce = value.indexOf(placeholder) === value.lastIndexOf(placeholder)
  return isOnce && readAuthorization(value)?.accessKeyId === placeholder
}

/** Whether a placeholder of a part stands rightly in a parameter. */
export function isRightAwsParameter(part: string, placeholder: string, sent: QueryPart): boolean {
  const name = sent.name.toLowerCase()
  const value = decodePercent(sent.value)
  if (part === 'sessionToken') return name === TOKEN_PLACE && value === placeholder
  return (
    part === 'accessKeyId' &&
    name === 'x-amz-credential' &&
    readCredential(value)?.accessKeyId === placeholder
  )
}
