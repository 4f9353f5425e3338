// The routes that show records of calls: the latest, and on as they are written. A principal that is limited sees those of
// the tasks it may see. Called by `app.ts`.

import { createRoute, z } from '@hono/zod-openapi'
import { streamSSE, type SSEStreamingApi } from 'hono/streaming'

import { boundedText } from '../../tasks/scalars.ts'
import { taskId } from '../../tasks/schema.ts'
import { jsonText } from '../../wire/json-text.ts'
import { REFUSALS } from '../answers.ts'
import { callsAnswer } from '../record-answers.ts'
import { visibleTask, type RouteApp } from '../context.ts'
import type { ControlParts } from '../parts.ts'
import { canSee, hasRole, type Principal } from '../roles.ts'
import { Shares } from '../shares.ts'

const LIMIT_MAX = 1000
const LIMIT_DEFAULT = 100
/** Records that wait for a slow reader; beyond, the stream ends and says so. */
const WAITING_MAX = 2 * LIMIT_MAX
const KEEP_ALIVE_MS = 15_000
const STREAMS_EACH_MAX = 16
/** Each reads a segment of the journal at least. */
const READINGS_EACH_MAX = 2

const query = z.strictObject({
  task: taskId.optional().describe('Of this task only.'),
  tool: boundedText(512)
    .optional()
    .describe('Calls of this tool only; * stands for any characters.'),
  limit: z.coerce
    .number({ error: 'expected a number' })
    .int({ error: 'expected a whole number' })
    .min(0)
    .max(LIMIT_MAX, { error: `expected at most ${LIMIT_MAX}` })
    .optional()
    .describe('How many of the latest; 100 unless followed.'),
})

/** Adds the routes. */
export function addCallRoutes(app: RouteApp, parts: ControlParts): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/calls',
    request: { query },
    responses: {
      200: {
        description: 'The latest records, newest last; as events named `record` also those to come',
        content: {
          'application/json': { schema: callsAnswer },
          'text/event-stream': { schema: z.string() },
        },
      },
      ...REFUSALS,
    },
  })
  const streams = new Shares('streams of calls', STREAMS_EACH_MAX)
  const readings = new Shares('readings of calls', READINGS_EACH_MAX)
  app.openapi(route, async (c) => {
    const { limit, task, tool } = c.req.valid('query')
    const wanted = { ...(task !== undefined && { task }), ...(tool !== undefined && { tool }) }
    const { principal } = c.env
    if (task !== undefined) visibleTask(parts, task, principal, '/task')
    const isShown = (record: unknown): record is object => isVisible(parts, record, principal)
    const recent = async (count: number): Promise<readonly object[]> => {
      if (count === 0) return []
      const giveBack = readings.take(principal)
      try {
        return (await parts.calls.recent(count, wanted)).filter(isShown)
      } finally {
        giveBack()
      }
    }
    const isFollowed = c.req.header('accept')?.includes('text/event-stream') === true
    // A HEAD has no body that somebody would read, or end.
    if (!isFollowed || c.req.method === 'HEAD')
      return c.json({ calls: await recent(limit ?? LIMIT_DEFAULT) }, 200)

    const waiting: object[] = [...(await recent(limit ?? 0))]
    const giveBack = streams.take(principal)
    const wake = { call: (): void => undefined }
    let overrun = false
    const stop = parts.calls.follow(wanted, (record) => {
      if (!isShown(record)) return
      overrun ||= waiting.length >= WAITING_MAX
      if (!overrun) waiting.push(record)
      wake.call()
    })
    return streamSSE(c, async (stream) => {
      try {
        await sendRecords(stream, waiting, wake, () => overrun)
      } finally {
        stop()
        giveBack()
      }
    })
  })
}

/** What a stream waits by. */
interface Wake {
  call: () => void
}

/** Sends records as they come, until the client leaves or is too slow. */
async function sendRecords(
  stream: SSEStreamingApi,
  waiting: object[],
  wake: Wake,
  isOverrun: () => boolean,
): Promise<void> {
  stream.onAbort(() => wake.call())
  while (!stream.aborted && !stream.closed) {
    const record = waiting.shift()
    if (record !== undefined) await stream.writeSSE({ event: 'record', data: jsonText(record) })
    else if (isOverrun()) return stream.writeSSE({ event: 'overrun', data: '{}' })
    else if (await isQuiet(wake, KEEP_ALIVE_MS)) await stream.write(': still here\n\n')
  }
}

/** Waits until it is woken. @returns whether nothing came for so long */
function isQuiet(wake: Wake, durationMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), durationMs)
    wake.call = () => {
      clearTimeout(timer)
      resolve(false)
    }
  })
}

/** Everything for whoever reads everything; otherwise what is of a task that the principal may see. */
function isVisible(parts: ControlParts, record: unknown, principal: Principal): record is object {
  if (typeof record !== 'object' || record === null) return false
  if (principal.teams.length === 0 && hasRole(principal, 'viewer', 'approver', 'operator'))
    return true
  const id = textAt(record, ['sallyport', 'task', 'id'])
  const task = id === undefined ? undefined : parts.tasks.show(id)
  return task !== undefined && canSee(principal, task)
}

function textAt(value: unknown, keys: readonly string[]): string | undefined {
  let current = value
  for (const key of keys) {
    if (typeof current !== 'object' || current === null) return undefined
    current = Reflect.get(current, key)
  }
  return typeof current === 'string' ? current : undefined
}
