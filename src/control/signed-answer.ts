// An answer for a held call that proves itself by its signature, in place of a principal. It is read and answered here, as no
// other route is asked without one. Called by `server.ts`.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { ControlError } from '../tasks/control-error.ts'
import { readBody, valuesOf } from './guard.ts'
import type { ControlParts } from './parts.ts'

const ROUTE = /^\/v1\/holds\/([0-9A-Z]{26})\/answer$/
const SIGNATURE = 'webhook-signature'

/** Whether a request is an answer that is signed. */
export function isSignedAnswer(request: IncomingMessage): boolean {
  return request.method === 'POST' && holdIn(request) !== undefined && hasSignature(request)
}

/**
 * Takes a signed answer.
 * @throws ControlError principal-unknown where no reviewer signed it; what is wrong with it
 */
export async function takeSignedAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  parts: ControlParts,
  bytesMax: number,
): Promise<void> {
  const id = holdIn(request)
  if (id === undefined) throw new ControlError('not-found', 'there is no such route')
  const body = (await readBody(request, bytesMax)).toString('utf8')
  const hold = parts.signedAnswers.take(fieldsOf(request), id, body)
  // Whoever is told of a change finds it on record.
  await parts.recorded()
  const text = `${JSON.stringify(hold)}\n`
  response.writeHead(200, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
  })
  response.end(text)
}

// One that is there twice proves nothing.
function fieldsOf(request: IncomingMessage): Record<string, string | undefined> {
  const names = ['webhook-id', 'webhook-timestamp', SIGNATURE]
  return Object.fromEntries(
    names.map((name) => {
      const values = valuesOf(request, name)
      return [name, values.length === 1 ? values[0] : undefined]
    }),
  )
}

function holdIn({ url = '' }: IncomingMessage): string | undefined {
  return ROUTE.exec(url)?.[1]
}

function hasSignature(request: IncomingMessage): boolean {
  return request.headers[SIGNATURE] !== undefined
}
