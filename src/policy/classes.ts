// Whether a task may touch what a call brings back, and may send there what it has read. Pure; called by `decide.ts` and when a
// call is cleared.

import type { Reason } from '../errors.ts'
import type { Policy } from './compile.ts'
import type { Obligations } from './decision.ts'
import { isAbove, type Moment } from './facts.ts'

/** Why what a call owes of classes cannot be met; undefined where it can. */
export function findClassFault(
  { task: { ceiling } }: Pick<Policy, 'task'>,
  { data, accepts = 'public' }: Pick<Obligations, 'data' | 'accepts'>,
  { read }: Moment,
): Reason | undefined {
  if (data !== undefined && ceiling !== undefined && isAbove(data, ceiling))
    return 'classification-ceiling'
  return isAbove(read, accepts) ? 'flow-violation' : undefined
}
