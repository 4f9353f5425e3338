// What the records of one call keep of what is said: the rule's word, else the configuration's; known secrets and the task's
// placeholders are never kept. Called by `model.ts` and `mcp-judge.ts`.

import type { Call, Decided } from '../call.ts'
import { makeKeeper, type Keeper } from '../inspect/keep.ts'
import type { Decision } from '../policy/decision.ts'
import type { ContentMode, ContentModes } from '../policy/subject.ts'
import type { Parts } from '../stages.ts'

/** What keeps content for the records of a call. */
export function keeperFor(call: Pick<Call & Decided, 'identity'>, parts: Parts): Keeper {
  return makeKeeper({
    bytesMax: parts.limits.recordedContentBytesMax,
    mask: (text) => parts.redactor.known(text, call.identity.task.id),
  })
}

/** How much of it is kept. */
export function modeOf(
  { obligations }: Pick<Decision, 'obligations'>,
  kind: keyof ContentModes,
  parts: Parts,
): ContentMode {
  return obligations.record?.[kind] ?? parts.record[kind]
}
