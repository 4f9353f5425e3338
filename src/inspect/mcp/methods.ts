// The table of MCP's methods, all revisions together: which belong to the session, which name an item, which no rule can
// name. What is not in it is `other`. Deliberately no judgement; called by `messages.ts`, held to the docs by a test.

import type { McpList } from '../../policy/subject.ts'

/** Which way a message goes. */
export type Direction = 'to-server' | 'to-client'

/** What a method's messages are about. */
type MethodMeaning =
  /** Passes with any rule for its server. */
  | 'session'
  /** Passes only where a rule without lists covers the server. */
  | 'other'
  /** Names a member of a list in `params`. */
  | { readonly list: McpList; readonly key: 'name' | 'uri' }
  /** Names a prompt or a template of resources in `params.ref`. */
  | 'reference'
  /** Of the session; each URI in `params.notifications.resourceSubscriptions` is an item. */
  | 'subscriptions'

/** One row of the table. */
export interface MethodRow {
  readonly direction: Direction
  readonly kind: 'request' | 'notification'
  readonly meaning: MethodMeaning
  /** The member of `params` that `Mcp-Name` has to repeat since 2026-07-28. */
  readonly header?: 'name' | 'uri' | 'taskId'
}

const ask = (meaning: MethodMeaning, header?: 'name' | 'uri' | 'taskId'): MethodRow => ({
  direction: 'to-server',
  kind: 'request',
  meaning,
  ...(header && { header }),
})
const tell = (direction: Direction): MethodRow => ({
  direction,
  kind: 'notification',
  meaning: 'session',
})
const demand = (meaning: MethodMeaning): MethodRow => ({
  direction: 'to-client',
  kind: 'request',
  meaning,
})

const TOOL: MethodMeaning = { list: 'tools', key: 'name' }
const RESOURCE: MethodMeaning = { list: 'resources', key: 'uri' }
const PROMPT: MethodMeaning = { list: 'prompts', key: 'name' }

// A method of both directions has two rows.
// prettier-ignore
const ROWS: readonly (readonly [string, MethodRow])[] = [
  ['initialize', ask('session')],
  ['ping', ask('session')],
  ['server/discover', ask('session')],
  ['logging/setLevel', ask('session')],
  ['tools/list', ask('session')],
  ['resources/list', ask('session')],
  ['resources/templates/list', ask('session')],
  ['prompts/list', ask('session')],
  ['tasks/list', ask('session')],
  ['tasks/get', ask('session', 'taskId')],
  ['tasks/result', ask('session')],
  ['tasks/cancel', ask('session', 'taskId')],
  ['tasks/update', ask('session', 'taskId')],
  ['subscriptions/listen', ask('subscriptions')],
  ['tools/call', ask(TOOL, 'name')],
  ['resources/read', ask(RESOURCE, 'uri')],
  ['resources/subscribe', ask(RESOURCE, 'uri')],
  ['resources/unsubscribe', ask(RESOURCE, 'uri')],
  ['prompts/get', ask(PROMPT, 'name')],
  ['completion/complete', ask('reference')],
  ['notifications/initialized', tell('to-server')],
  ['notifications/cancelled', tell('to-server')],
  ['notifications/progress', tell('to-server')],
  ['notifications/roots/list_changed', tell('to-server')],
  ['notifications/tasks/status', tell('to-server')],

  ['ping', demand('session')],
  ['sampling/createMessage', demand('other')],
  ['elicitation/create', demand('other')],
  ['roots/list', demand('other')],
  ['tasks/list', demand('other')],
  ['tasks/get', demand('other')],
  ['tasks/result', demand('other')],
  ['tasks/cancel', demand('other')],
  ['notifications/cancelled', tell('to-client')],
  ['notifications/progress', tell('to-client')],
  ['notifications/message', tell('to-client')],
  ['notifications/tools/list_changed', tell('to-client')],
  ['notifications/resources/list_changed', tell('to-client')],
  ['notifications/resources/updated', tell('to-client')],
  ['notifications/prompts/list_changed', tell('to-client')],
  ['notifications/subscriptions/acknowledged', tell('to-client')],
  ['notifications/elicitation/complete', tell('to-client')],
  ['notifications/tasks', tell('to-client')],
  ['notifications/tasks/status', tell('to-client')],
]

const keyOf = (direction: Direction, kind: MethodRow['kind'], method: string): string =>
  `${direction} ${kind} ${method}`

/** The table by direction, kind and method, such as `to-server request tools/call`. */
export const METHODS: ReadonlyMap<string, MethodRow> = new Map(
  ROWS.map(([method, row]) => [keyOf(row.direction, row.kind, method), row]),
)

/** The row of a method; undefined where no revision of the specification has it that way. */
export function findMethod(
  direction: Direction,
  kind: MethodRow['kind'],
  method: string,
): MethodRow | undefined {
  return METHODS.get(keyOf(direction, kind, method))
}

const FOLDED: ReadonlySet<string> = new Set(ROWS.map(([method]) => method.toLowerCase()))
const EXACT: ReadonlySet<string> = new Set(ROWS.map(([method]) => method))

/** Whether a method is a known one to who reads it without case, and only to him. */
export function isMethodTwin(method: string): boolean {
  return !EXACT.has(method) && FOLDED.has(method.toLowerCase())
}
