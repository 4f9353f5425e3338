// Which limits of a task a tool counts against: those whose pattern its name matches. Patterns are read once a task. Called by
// `quotas.ts`.

import { bindTemplate, matchGlob, parseTemplate, type Glob } from '../policy/template.ts'
import type { CallLimits, TaskLimits } from '../tasks/task.ts'

/** One entry of `limits.tools`. */
interface ToolLimit {
  readonly pattern: string
  readonly glob: Glob
  readonly of: CallLimits
}

type Written = NonNullable<TaskLimits['tools']>

/** The limits of tools, as they were read. */
export class ToolLimits {
  readonly #read: WeakMap<Written, readonly ToolLimit[]> = new WeakMap()

  /** Those that a tool counts against. */
  find(written: Written, tool: string): readonly ToolLimit[] {
    return this.#of(written).filter(({ glob }) => matchGlob(glob, tool))
  }

  #of(written: Written): readonly ToolLimit[] {
    const known = this.#read.get(written)
    if (known !== undefined) return known
    const read = Object.entries(written).flatMap(([pattern, of]): ToolLimit[] => {
      const parts = parseTemplate(pattern)
      return typeof parts === 'string' ? [] : [{ pattern, glob: bindTemplate(parts, {}), of }]
    })
    this.#read.set(written, read)
    return read
  }
}
