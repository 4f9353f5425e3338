// The operator's log on stderr: readable lines on a terminal, JSON otherwise. Synchronous, so that the last line before
// a crash is there. Deliberately not the audit trail: that is the journal. Called by `sidecar.ts` and `main.ts`.

import { writeSync } from 'node:fs'

import { createColors } from 'picocolors'
import {
  destination,
  pino,
  stdSerializers,
  stdTimeFunctions,
  type Logger,
  type LoggerOptions,
} from 'pino'

import { escapeHarmful } from '../wire/json-text.ts'
import { escapeUnprintable } from './printable.ts'
import { redactDeep } from './redact-record.ts'

/** The operator's log. */
export type Log = Logger

/** The levels an operator may choose. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** One of the levels. */
export type LogLevel = (typeof LOG_LEVELS)[number]

/** How the log is written. */
export interface LogOptions {
  readonly level: LogLevel
  /** Readable lines; default: where stderr is a terminal. */
  readonly pretty?: boolean
  /** Default: where lines are readable and `NO_COLOR` is not set. */
  readonly color?: boolean
  /** Takes known secrets out of a text. */
  readonly mask?: (text: string) => string
  /** Takes whole lines; default: file descriptor 2. */
  readonly write?: (line: string) => void
}

/** Makes the operator's log. */
export function makeLog(options: LogOptions): Log {
  const pretty = options.pretty ?? process.stderr.isTTY
  const color = options.color ?? (pretty && (process.env['NO_COLOR'] ?? '') === '')
  const write = options.write ?? (pretty ? writeStderr : undefined)
  const settings: LoggerOptions = {
    level: options.level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: stdSerializers.err },
    hooks: { streamWrite: (line) => harmlessLine(maskLine(line, options.mask)) },
  }
  if (write === undefined) {
    const stderr = destination({ fd: 2, sync: true })
    // A reader that went away must not take the proxy with it.
    stderr.on('error', () => undefined)
    return pino(settings, stderr)
  }
  const print = pretty ? (line: string) => write(prettyLine(line, color)) : write
  return pino(settings, { write: print })
}

// The texts in a line and not the line: what finds anything must not find what makes it one.
function maskLine(line: string, mask: LogOptions['mask']): string {
  if (mask === undefined) return line
  const entry: object = JSON.parse(line)
  const masked = Object.entries(entry).map(([name, value]: [string, unknown]) => [
    name,
    OWN_TEXTS.has(name) ? value : redactDeep(value, mask),
  ])
  return JSON.stringify(Object.fromEntries(masked))
}

function harmlessLine(line: string): string {
  return `${escapeHarmful(line.trimEnd())}\n`
}

function writeStderr(line: string): void {
  try {
    writeSync(2, line)
  } catch {
    // Full pipe or closed terminal: the log is not worth a stopped proxy.
  }
}

/** Members that no stranger has a say in. */
const OWN_TEXTS = new Set(['level', 'time'])
const OWN_MEMBERS = new Set(['level', 'time', 'msg', 'err'])

/** Turns pino's JSON line into `12:00:00.000 WARN message name=value`. */
function prettyLine(json: string, color: boolean): string {
  const paint = createColors(color)
  const entry: Record<string, unknown> = JSON.parse(json)
  const level = String(entry['level'])
  const paintLevel =
    level === 'error' || level === 'fatal'
      ? paint.red
      : level === 'warn'
        ? paint.yellow
        : level === 'info'
          ? paint.green
          : paint.dim
  const time = String(entry['time']).slice('2000-01-01T'.length, -1)
  const parts = [
    paint.dim(time),
    paintLevel(level.toUpperCase().padEnd(5)),
    escapeUnprintable(textOf(entry['msg'])),
  ]
  for (const [name, value] of Object.entries(entry)) {
    if (OWN_MEMBERS.has(name)) continue
    parts.push(paint.dim(`${escapeUnprintable(name)}=`) + escapeUnprintable(textOf(value)))
  }
  return `${parts.join(' ')}${errorLines(entry['err'])}\n`
}

function textOf(value: unknown): string {
  if (value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function errorLines(error: unknown): string {
  if (typeof error !== 'object' || error === null) return ''
  const { stack, message } = Object.fromEntries(Object.entries(error))
  const lines = textOf(stack ?? message).split('\n')
  return lines.map((line) => `\n    ${escapeUnprintable(line.trim())}`).join('')
}
