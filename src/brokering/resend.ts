// A credential that the upstream refuses: read or minted anew once, and the request sent once more with the other one, where it
// can be sent again as it was. Whatever comes of that is the answer. Called by `pipeline.ts`.

import type { Call, Outgoing, Prepared, UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import type { Parts } from '../stages.ts'

const REFUSED = 401

/**
 * Sends what was prepared, and once more where the upstream refuses the credential and there is another.
 * @param send sends the call's outgoing request as it is then
 */
export async function sendWithCredential(
  call: Call & Prepared,
  parts: Pick<Parts, 'credentials'>,
  send: () => Promise<UpstreamResponse>,
): Promise<UpstreamResponse> {
  const answered = await send()
  const { repeat } = call.outgoing
  const again =
    answered.status === REFUSED ? await remakeUnlessRefused(call, answered, parts) : undefined
  repeat?.forget()
  if (again === undefined || call.cutReason !== undefined) return answered
  // Nobody wants the rest of it; what it says is nothing that a request is repeated for.
  answered.body.abort(new EgressError('upstream-gone', { code: 'refused-credential' }))
  call.prepare(again)
  return send()
}

// Without another one the refusal is the answer.
async function remakeUnlessRefused(
  call: Call & Prepared,
  answered: UpstreamResponse,
  parts: Pick<Parts, 'credentials'>,
): Promise<Outgoing | undefined> {
  try {
    return await remake(call, parts)
  } catch (error) {
    if (error instanceof EgressError) return undefined
    answered.body.abort(new EgressError('internal'))
    throw error
  }
}

async function remake(
  { outgoing: { secret, repeat }, identity }: Call & Prepared,
  { credentials }: Pick<Parts, 'credentials'>,
): Promise<Outgoing | undefined> {
  if (secret === undefined || repeat === undefined) return undefined
  const other = await credentials.secretInPlaceOf(identity.task, secret)
  return other && repeat.remake(other)
}
