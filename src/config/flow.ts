// What trees of tasks have read, as a configuration describes it: the marks on the disk, what a higher one cuts and puts on
// record, and their reset by a person. Called by `task-room.ts` and `control-parts.ts`.

import type { ControlParts } from '../control/parts.ts'
import { FlowMarks, type FlowMarksOptions } from '../ledger/flow-marks.ts'
import type { CallRecorder } from '../record/recorder.ts'
import { ControlError } from '../tasks/control-error.ts'
import type { TaskDesk } from '../tasks/desk.ts'
import type { TaskRegistry } from '../tasks/registry.ts'

/** What a reset works with. */
interface FlowDeskParts {
  readonly registry: TaskRegistry
  readonly desk: TaskDesk
  readonly flow: FlowMarks
}

/** Opens the marks. @throws Error where what was written cannot be read: what was read stays read */
export function openFlow(
  dir: string,
  cut: FlowMarksOptions['cut'],
  recorder: Pick<CallRecorder, 'recordEvent'>,
): FlowMarks {
  return new FlowMarks({
    dir,
    cut,
    onRaised: ({ id, identity: { task }, decision }, change) => {
      const rule = decision?.rule
      const by = rule && { rule: `${rule.ruleset}/${rule.id}` }
      recorder.recordEvent('flow-raised', { task, detail: { ...change, call: id, ...by } })
    },
  })
}

/** Makes what the control API asks. */
export function makeFlowDesk(
  { registry, desk, flow }: FlowDeskParts,
  recorder: Pick<CallRecorder, 'recordEvent'>,
): ControlParts['flow'] {
  return {
    reset: (id, actor, reason) => {
      const entry = registry.entries.get(id)
      if (entry === undefined) throw new ControlError('not-found', `there is no task ${id}`, '/id')
      const { task } = entry
      const change = resetMark(flow, task.path[0] ?? task.id)
      const detail = { ...change, actor: actor.name, reason }
      recorder.recordEvent('flow-reset', { task, detail })
      // It is there: nothing forgets a task in between.
      return desk.show(id)!
    },
  }
}

function resetMark(flow: FlowMarks, root: string): ReturnType<FlowMarks['reset']> {
  try {
    return flow.reset(root)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ControlError('conflict', `it could not be written down: ${why}`)
  }
}
