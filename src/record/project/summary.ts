// A record in one line for people who see nothing else of it: what happened, why, to what, for whom. Pure; deliberately
// without colour or alignment, which is `render.ts`. Called by the projections.

import { textAt } from './members.ts'

/** One line: the action, its reason, what it was about, the tool, the task. Text of others stands in it as it came. */
export function summaryOf(record: unknown): string {
  const action = textAt(record, 'event', 'action') ?? 'unknown'
  const reason = textAt(record, 'event', 'reason')
  const tool = textAt(record, 'gen_ai', 'tool', 'name')
  const task = textAt(record, 'sallyport', 'task', 'id')
  return [
    action,
    reason === action ? undefined : reason,
    textAt(record, 'message') ?? subjectOf(record),
    tool === undefined ? undefined : `tool ${tool}`,
    task === undefined ? undefined : `for ${task}`,
  ]
    .filter((part) => part !== undefined)
    .join(' ')
}

/** What a record is about, in one text: its URL with its method, its DNS question, its destination; undefined where it names none. */
export function subjectOf(record: unknown): string | undefined {
  const url = textAt(record, 'url', 'full')
  const method =
    textAt(record, 'http', 'request', 'method') ?? textAt(record, 'mcp', 'method', 'name')
  if (url !== undefined) return method === undefined ? url : `${method} ${url}`
  const asked = textAt(record, 'dns', 'question', 'name')
  if (asked !== undefined)
    return `${textAt(record, 'dns', 'question', 'type') ?? ''} ${asked}`.trim()
  return textAt(record, 'destination', 'domain') ?? textAt(record, 'destination', 'ip')
}
