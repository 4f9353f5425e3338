// What every reader of requests says of one, and how it reads numbers that rules bound. Called by the readers of this folder.

import { EgressError } from '../../errors.ts'
import type { JsonValue } from '../fields.ts'
import type { ModelMessage } from './messages.ts'

/** What a request asks of a model. */
export interface Asked {
  /** As the body names it. */
  readonly model: JsonValue | undefined
  /** Others that may answer instead of it; a value that is no string stands for a choice that is the provider's. */
  readonly otherModels?: readonly JsonValue[]
  /** All choices together; undefined: as many as the model likes. */
  readonly maxTokens: number | undefined
  readonly messages: readonly ModelMessage[]
  readonly isStream: boolean
}

/** What a body that cannot be judged is refused with; never shown to the client. @param why what is wrong with it */
export function refuseBody(why: string): EgressError {
  return new EgressError('malformed-body', { part: 'model', why })
}

/**
 * A number of tokens; undefined where there is none, and where it is a sign for no bound (0, -1, -2).
 * @throws malformed-body in strict reading where it is no number
 */
export function readTokens(value: JsonValue | undefined, isStrict: boolean): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number') return value > 0 ? Math.ceil(value) : undefined
  if (isStrict) throw refuseBody('tokens')
  return undefined
}

/**
 * How often a request wants an answer; 1 where it does not say.
 * @throws malformed-body in strict reading where it is no number from 1 on
 */
export function readChoices(value: JsonValue | undefined, isStrict: boolean): number {
  if (value === undefined || value === null) return 1
  if (typeof value === 'number' && value >= 1) return Math.ceil(value)
  if (isStrict) throw refuseBody('choices')
  return 1
}

/** The larger of two bounds of which either binds; undefined where neither is there. */
export function largerOf(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined) return other
  return other === undefined ? one : Math.max(one, other)
}

/** A bound for several answers together. */
export function timesOf(tokens: number | undefined, times: number): number | undefined {
  return tokens === undefined ? undefined : tokens * times
}
