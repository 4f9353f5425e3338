// The types that a client of the control API works with; given out by `client.ts`.

export type { MadeTask, WrittenExtension, WrittenTask } from './client-task.ts'
export type { HoldAnswer, HoldView } from '../tasks/hold-view.ts'
export type {
  Evidence,
  Kill,
  KillScope,
  Receipt,
  ReceiptItem,
  RequestView,
  TaskView,
} from '../tasks/view.ts'
