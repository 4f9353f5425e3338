// Provisional.
import { z } from 'zod'

/** A recurring window of time. */
export interface TimeWindow {
  readonly zone: string
}
/** The grammar of `between`. */
export const WINDOW_SCHEMA: z.ZodType<TimeWindow> = z.strictObject({ zone: z.string() })
/** Whether a moment is inside. */
export function isWithin(_window: TimeWindow, _now: number): boolean {
  return false
}
/** The next boundary. */
export function nextChange(_window: TimeWindow, now: number): number {
  return now + 1000
}
