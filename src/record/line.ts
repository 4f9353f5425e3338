// Reads what a record is off its line, without parsing all of it. Exact although strangers choose some of the rest, whole
// JSON objects among it: what is looked for stands before the first of these, or behind the last. Pure. Called by
// `open-calls.ts` and the sinks' filter.

/** Where `event.action` of a record stands, at the latest, in characters. */
export const ACTION_WITHIN = 512

const ACTION = '"action":"'

/** The `event.action` of a line, or of its beginning: nothing before it holds a quote without a backslash that is not ours. */
export function actionOf(line: string): string | undefined {
  const at = line.indexOf(ACTION)
  if (at < 0) return undefined
  const from = at + ACTION.length
  const end = line.indexOf('"', from)
  return end < 0 ? undefined : line.slice(from, end)
}

const OWN = ',"sallyport":{"schema":1'
const CALL_ID = /,"sallyport":\{"schema":1(?:,"mode":"[a-z]+")?,"call":\{"id":"([^"]*)"/y

/** The id of the call of a line: `sallyport` comes last, and holds no objects of strangers. */
export function callIdOf(line: string): string | undefined {
  CALL_ID.lastIndex = Math.max(0, line.lastIndexOf(OWN))
  return CALL_ID.exec(line)?.[1]
}

const TASK_ID =
  /,"sallyport":\{"schema":1(?:,"mode":"[a-z]+")?(?:,"call":\{[^{}]*\})?(?:,"message":\{[^{}]*\})?,"task":\{"id":("(?:[^"\\]|\\.)*")/y

/** The id of the task of a line. */
export function taskIdOf(line: string): string | undefined {
  TASK_ID.lastIndex = Math.max(0, line.lastIndexOf(OWN))
  const quoted = TASK_ID.exec(line)?.[1]
  return quoted === undefined ? undefined : unquoted(quoted)
}

function unquoted(quoted: string): string | undefined {
  if (!quoted.includes('\\')) return quoted.slice(1, -1)
  try {
    const text: unknown = JSON.parse(quoted)
    return typeof text === 'string' ? text : undefined
  } catch {
    return undefined
  }
}

const EVENT_ID = '"event":{"id":"'

/** The `event.id` of a line, or of its beginning. */
export function eventIdOf(line: string): string | undefined {
  const at = line.indexOf(EVENT_ID)
  return at < 0 ? undefined : line.slice(at + EVENT_ID.length, at + EVENT_ID.length + 26)
}
