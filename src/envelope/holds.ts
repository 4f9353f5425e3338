// Held calls as the task that made them may read them: what it sent and where it stands; never the rule, who may answer, who
// did, or the credential. Called by whoever makes the envelope.

import type { HoldView } from '../tasks/hold-view.ts'

/** Shows a hold to its task. */
export function holdForAgent({ id, state, request, ...hold }: HoldView): object {
  const { kind, method, scheme, host, port, path = '', query } = request
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const url = `${scheme}://${authority}${path}${query === undefined ? '' : `?${query}`}`
  const { openedAt, waitsUntil, answeredAt, answerUntil } = hold
  return {
    id,
    state,
    method,
    url: kind === 'tunnel' ? authority : url,
    openedAt,
    waitsUntil,
    ...(answeredAt !== undefined && { answeredAt }),
    ...(answerUntil !== undefined && { answerUntil }),
  }
}
