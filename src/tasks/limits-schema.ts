// The grammar of a task's `limits`: how much it may do, whatever its rules allow; and whether a child's are within its parent's.
// Pure; called by `schema.ts`, by the schema of the configuration, and by `delegation.ts`.

import { z } from 'zod'

import { boundedText, positiveInteger, size } from './scalars.ts'
import type { CallLimits, TaskLimits } from './task.ts'

const TOOLS_MAX = 64
const mapping = 'expected a mapping'

const callLimits = {
  callsPerMinute: positiveInteger.optional().describe('Calls within any 60 seconds.'),
  callsPerHour: positiveInteger.optional(),
  callsPerDay: positiveInteger.optional(),
  concurrentCalls: positiveInteger.optional().describe('Calls under way at once.'),
  calls: positiveInteger.optional().describe('Calls in all.'),
  bytesOut: size.optional().describe('Bytes sent in all, such as 10MiB.'),
  bytesIn: size.optional().describe('Bytes received in all.'),
}

const toolPattern = boundedText(128).refine((written) => !/\*\*|[{}]/.test(written), {
  error: 'expected the name of a tool, `*` any characters',
})

/** How much a task may do. */
export const taskLimits: z.ZodType<TaskLimits> = z
  .strictObject(
    {
      ...callLimits,
      tools: z
        .record(toolPattern, z.strictObject(callLimits, { error: mapping }), { error: mapping })
        .refine((tools) => Object.keys(tools).length <= TOOLS_MAX, {
          error: `expected at most ${TOOLS_MAX} entries`,
        })
        .optional()
        .describe('MCP: by the names of tools, `*` any characters; all that match count together.'),
      denials: positiveInteger
        .optional()
        .describe('Refused calls within limits.denialsSuspendMs that suspend the task.'),
    },
    { error: mapping },
  )
  .describe('How much the task may do, whatever its rules allow; those below it count with it.')

/** The limits of calls by name, in the order in which they are shown. */
export const LIMIT_NAMES: readonly (keyof CallLimits)[] = [
  'callsPerMinute',
  'callsPerHour',
  'callsPerDay',
  'concurrentCalls',
  'calls',
  'bytesOut',
  'bytesIn',
]

/** A limit that is higher than the parent's. */
interface WiderLimit {
  /** Where it stands in a definition, a JSON pointer. */
  readonly field: string
  readonly axis: string
  readonly parents: number
}

/**
 * Finds the first limit of a child that is above its parent's; undefined where none is. One that the child does not have is
 * within: what the child does counts against the parent's, too.
 */
export function findWiderLimit(
  child: TaskLimits | undefined,
  parent: TaskLimits | undefined,
): WiderLimit | undefined {
  if (child === undefined || parent === undefined) return undefined
  const own = findWider(child, parent, 'limits', '/limits')
  if (own !== undefined) return own
  if ((child.denials ?? 0) > (parent.denials ?? Infinity))
    return { field: '/limits/denials', axis: 'limits.denials', parents: parent.denials! }
  for (const [pattern, limits] of Object.entries(child.tools ?? {})) {
    const above = parent.tools && Object.hasOwn(parent.tools, pattern) && parent.tools[pattern]
    if (!above) continue
    const field = `/limits/tools/${pattern.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const wider = findWider(limits, above, `limits.tools.${pattern}`, field)
    if (wider !== undefined) return wider
  }
  return undefined
}

function findWider(
  child: CallLimits,
  parent: CallLimits,
  axis: string,
  field: string,
): WiderLimit | undefined {
  for (const name of LIMIT_NAMES) {
    const parents = parent[name]
    if (parents === undefined || (child[name] ?? 0) <= parents) continue
    return { field: `${field}/${name}`, axis: `${axis}.${name}`, parents }
  }
  return undefined
}
