// The forms in which records leave: the journal's own, and the vocabularies of those who read them. Types only; each form
// is a pure function in a file of its own beside this. Called by the sinks and by `sallyport export`.

import type { RecordBody } from '../body.ts'

/** The forms. `ecs` is the journal's own. */
export const FORMATS = ['ecs', 'ocsf', 'otlp', 'cloudevents', 'agents-net'] as const

/** One of the forms. */
export type Format = (typeof FORMATS)[number]

/** What a form says of where a record is from. */
export interface Origin {
  /** The program's version. */
  readonly version: string
  /** The id of the journal. */
  readonly journal: string
}

/** Turns a record into the JSON value of one form; undefined where the form has no word for such a record. Pure, never throws. */
export interface Projection {
  (record: RecordBody, origin: Origin): object | undefined
}
