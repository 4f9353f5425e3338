// What comes back on an upgraded connection, and the answer to an upgrade, without the values of its task's credentials. Called by
// `pipeline.ts`.

import type { Call, Prepared } from '../call.ts'
import type { UpgradeScrub } from '../forward/upgrade-answer.ts'
import { FrameScrubber } from '../inject/scrub/frames.ts'
import { scrubTexts } from '../inject/scrub/head.ts'
import type { Parts } from '../stages.ts'
import { scrub, watchFor } from './response.ts'

/** How an upgrade's bytes are looked through; undefined where its task has no credential in use. */
export function scrubUpgrade(call: Call & Prepared, parts: Parts): UpgradeScrub | undefined {
  const watch = watchFor(call, parts)
  if (watch === undefined) return undefined
  const frames = new FrameScrubber(watch)
  return {
    fields: (fields) => scrubTexts(fields, watch, 'header'),
    frames: (bytes) => frames.push(bytes),
    answer: (response) => scrub(call, response, parts),
  }
}
