// The control API as one app: its routes, its OpenAPI document, and how an error becomes an answer and a record.
// Deliberately knows nothing of sockets: `server.ts` has checked the head and recognised the principal. Loaded at the first
// request.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { getRequestListener } from '@hono/node-server'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'

import { ControlError } from '../tasks/control-error.ts'
import { makeRouteApp, type ControlEnv } from './context.ts'
import { readBody } from './guard.ts'
import type { ControlParts } from './parts.ts'
import { problemHeaders, problemOf } from './problems.ts'
import type { Principal } from './roles.ts'
import { addCallRoutes } from './routes/calls.ts'
import { addCheckpointRoutes } from './routes/checkpoints.ts'
import { addHoldRoutes } from './routes/holds.ts'
import { addOverrideRoutes } from './routes/overrides.ts'
import { addFlowRoutes } from './routes/flow.ts'
import { addRequestRoutes } from './routes/requests.ts'
import { addShownRoutes } from './routes/shown.ts'
import { addKillRoutes, addOwnerRoutes, addRuleRoutes } from './routes/switches.ts'
import { addTaskChangeRoutes } from './routes/task-changes.ts'
import { addCreateRoutes, addTaskRoutes } from './routes/tasks.ts'

/** Answers one request of a recognised principal. */
export type ControlApp = (
  request: IncomingMessage,
  response: ServerResponse,
  principal: Principal,
) => Promise<void>

/** What the app is made of. */
interface AppOptions {
  readonly parts: ControlParts
  readonly limits: { readonly controlBodyBytesMax: number }
  readonly version: string
  readonly onUnexpected: (error: unknown) => void
}

/** Makes the app. */
export function makeControlApp({ parts, limits, version, onUnexpected }: AppOptions): ControlApp {
  const app = makeRouteApp()
  const { controlBodyBytesMax } = limits
  app.use(async (c, next) => {
    // Under this name the app's library takes a body that was read already.
    const rawBody = await readBody(c.env.incoming, controlBodyBytesMax)
    Object.assign(c.env.incoming, { rawBody })
    await next()
    // Whoever is told of a change finds it on record, whatever becomes of us then.
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD') await parts.recorded()
  })
  addTaskRoutes(app, parts)
  addCreateRoutes(app, parts)
  addTaskChangeRoutes(app, parts)
  addFlowRoutes(app, parts)
  addCallRoutes(app, parts)
  addRuleRoutes(app, parts)
  addKillRoutes(app, parts)
  addOwnerRoutes(app, parts)
  addOverrideRoutes(app, parts)
  addHoldRoutes(app, parts)
  addRequestRoutes(app, parts)
  addShownRoutes(app, parts)
  addCheckpointRoutes(app, parts)
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'Sallyport control API', version },
  })
  app.notFound((c) => refuse(parts, c, new ControlError('not-found', 'there is no such route')))
  app.onError((error, c) => refuse(parts, c, controlErrorOf(error, onUnexpected)))

  const requests = new WeakMap<object, ControlEnv['Bindings']>()
  const listener = getRequestListener(
    (request, { incoming }) => {
      const asked = requests.get(incoming)
      if (asked === undefined) throw new Error('a request of nobody')
      return app.fetch(request, asked)
    },
    {
      overrideGlobalObjects: false,
      // What fails in answering a failure; the library itself would answer the error's message.
      errorHandler: (error) => problemResponse(controlErrorOf(error, onUnexpected)),
    },
  )
  return (request, response, principal) => {
    requests.set(request, { principal, incoming: request })
    return listener(request, response)
  }
}

function controlErrorOf(error: unknown, onUnexpected: (error: unknown) => void): ControlError {
  if (error instanceof ControlError) return error
  // The app's library refuses by itself only a body that is no JSON.
  if (error instanceof HTTPException && error.status === 400)
    return new ControlError('definition-invalid', 'the body is not JSON')
  onUnexpected(error)
  return new ControlError('internal', 'the program made an error; its log says more')
}

/** Answers a refusal; one of a change is put on record with its principal. */
function refuse(parts: ControlParts, c: Context<ControlEnv>, error: ControlError): Response {
  const problem = problemOf(error)
  if (c.req.method !== 'GET' && c.req.method !== 'HEAD')
    parts.record('control-refused', {
      principal: c.env.principal.name,
      operation: `${c.req.method} ${c.req.path.slice(0, 256)}`,
      reason: problem.reason,
      detail: problem.detail,
      ...(problem.field !== undefined && { field: problem.field }),
    })
  return problemResponse(error)
}

function problemResponse(error: ControlError): Response {
  const problem = problemOf(error)
  return new Response(`${JSON.stringify(problem)}\n`, {
    status: problem.status,
    headers: problemHeaders(error),
  })
}
