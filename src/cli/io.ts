// What a command is given of the outside: streams, variables, colours. Made by `main.ts`, and by tests with their own.
// Deliberately no logic; each verb prints through it.

import { createColors } from 'picocolors'

import { jsonText } from '../wire/json-text.ts'

/** The outside of a command. */
export interface CommandIo {
  /** Writes text to standard output as it is. */
  readonly out: (text: string) => void
  /** Writes text to standard error as it is. */
  readonly err: (text: string) => void
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Whether standard output shows colours. */
  readonly color: boolean
  /** Ends commands that wait, such as `tail --follow`. */
  readonly signal: AbortSignal
  readonly version: string
}

/** The exit codes of contract section 1. */
export const EXIT_CODES = { ok: 0, no: 1, usage: 2 } as const

/** A use of the command that cannot work; its message is printed and the exit code is 2. */
export class UsageError extends Error {}

/** Colours that are none where the output shows none. */
export function paintFor(io: Pick<CommandIo, 'color'>): ReturnType<typeof createColors> {
  return createColors(io.color)
}

/** Prints a value as the JSON that scripts read. */
export function printJson(io: CommandIo, value: unknown): void {
  io.out(`${jsonText(value, 2)}\n`)
}
