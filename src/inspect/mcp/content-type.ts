// What a body is by its head: JSON, an event stream, or something else, and whether it is compressed. Strict, because clients
// look for a word anywhere in the field. Called by `exchange.ts`.

import type { RawHeaders } from '../../wire/body.ts'
import { valuesOf } from '../../wire/headers.ts'

/** What a body is. */
export type MediaKind = 'none' | 'json' | 'events' | 'other'

// Nothing but the character set may be said besides, and only the one that it is in.
const JSON_TYPE = /^application\/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8"))?[ \t]*;?$/i
const EVENTS_TYPE = /^text\/event-stream[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8"))?[ \t]*;?$/i

/** What the head says that the body is; `other` also where it says it twice. */
export function mediaKind(headers: RawHeaders): MediaKind {
  const values = valuesOf(headers, 'content-type')
  const [value] = values
  if (value === undefined) return 'none'
  if (values.length > 1) return 'other'
  if (JSON_TYPE.test(value)) return 'json'
  return EVENTS_TYPE.test(value) ? 'events' : 'other'
}

/** Whether some client may take the body for an event stream. */
export function mentionsEvents(headers: RawHeaders): boolean {
  return valuesOf(headers, 'content-type').some((value) => /event-stream/i.test(value))
}

/** Whether some client may take the body for JSON. */
export function mayBeJson(headers: RawHeaders): boolean {
  const values = valuesOf(headers, 'content-type')
  return values.length === 0 || values.some((value) => /json/i.test(value))
}

/** Whether the bytes are those of the body itself. */
export function isIdentityCoded(headers: RawHeaders): boolean {
  return valuesOf(headers, 'content-encoding').every((value) => /^(?:identity)?$/i.test(value))
}

/** Whether `Accept` names event streams. */
export function acceptsEvents(headers: RawHeaders): boolean {
  return valuesOf(headers, 'accept').some((value) =>
    value.split(',').some((range) => /^[ \t]*text\/event-stream[ \t]*(?:;|$)/i.test(range)),
  )
}
