// What stands between the two parties of a call that is looked into, as each reader fills it in. Called by the files of this
// room.

import type { Answer, Call, Identified, Inspection, Received } from '../call.ts'
import type { EgressError, Reason } from '../errors.ts'
import { judge, type Verdict } from '../judge.ts'
import type { BodySubject, Content } from '../policy/subject.ts'
import type { Parts } from '../stages.ts'
import type { Body } from '../wire/body.ts'

/** A call whose head the rules let pass. */
export type Screened = Call & Received & Identified

/** A whole body and what is known around it. */
export interface WholeCall {
  readonly call: Screened
  readonly bytes: Uint8Array
  /** Gives the same bytes again. */
  readonly body: Body
  readonly parts: Parts
  /** The body as JSON, where a condition reads it and it is. */
  readonly json?: BodySubject
}

/** What a recogniser made of a call. */
export interface Reading {
  readonly content: Content
  readonly inspection: Inspection
  /** Where the recogniser has asked the rules itself, message by message. */
  readonly verdict?: Verdict
  /** What was wrong, where the bytes could not be read. */
  readonly fault?: EgressError
}

/** What a reader has to say; the rest passes untouched. */
interface InspectionFields extends Partial<Omit<Inspection, 'body' | 'writeRefusal'>> {
  readonly body: Body
  readonly writeRefusal?: (reason: Reason) => Answer | undefined
}

/** Makes an inspection that changes nothing but what it is told to. */
export function makeInspection(fields: InspectionFields): Inspection {
  return {
    rewriteHead: (headers) => headers,
    recordRequest: () => Promise.resolve(),
    filterResponse: (response) => response,
    awaitReader: () => Promise.resolve(),
    writeRefusal: () => undefined,
    finish: () => undefined,
    ...fields,
  }
}

/** The reading of bytes that could not be read: the rules are asked with that. */
export function readFault(fault: EgressError, inspection: Inspection): Reading {
  return { content: { fault: fault.reason }, inspection, fault }
}

/**
 * Takes the rules and the task as they are by now: a client may hold the last byte back until they have changed (I8).
 * @throws EgressError the reason where the task may do nothing any more
 */
export function renewRules(call: Screened, { identifier }: Parts): void {
  call.renew(identifier.identify(call.arrival, call.request.headers))
}

/** Leaves a reading on its call and asks the rules about it. */
export function decideReading(
  call: Screened,
  { content, inspection, verdict, fault }: Reading,
): Verdict {
  call.inspection = inspection
  const ask = (): Verdict => judge(call.identity, call.request, content)
  const judged = verdict ?? ask()
  // A person may take long.
  const isHeld = judged.decision.verdict === 'hold' && judged.again === undefined
  const decided = isHeld ? { ...judged, again: ask } : judged
  return fault === undefined ? decided : { ...decided, detail: fault.detail }
}
