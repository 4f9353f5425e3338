// One record as one line for a person at a terminal. Pure. Whatever a stranger chose (paths, names, user agents) is
// shown with its control and invisible characters escaped. Called by the CLI's `tail`.

import { createColors } from 'picocolors'

import type { RecordBody } from '../body.ts'
import { escapeUnprintable } from '../printable.ts'
import { bytesOf, isDenial } from '../usual.ts'

type Paint = (text: string) => string

/** Renders a record as one line without a newline; colours where asked. One whose members were edited to be none says so. */
export function renderRecord(record: RecordBody, color: boolean): string {
  const paint = createColors(color)
  try {
    return lineOf(record, paint)
  } catch {
    const { event } = record
    return `${paint.dim(escapeUnprintable(timeOf(record)))} ${paint.red('?????')} ${escapeUnprintable(event.action)}: not as records are`
  }
}

function lineOf(record: RecordBody, paint: ReturnType<typeof createColors>): string {
  const { event, rule, sallyport } = record
  const verdict = verdictWord(record)
  const parts: [text: string | undefined, paint: Paint][] = [
    [timeOf(record), paint.dim],
    [verdict.padEnd(5), verdictPaint(verdict, paint)],
    [wouldDenyText(record), paint.yellow],
    ...bodyParts(record, paint),
    [event.reason === 'allowed' ? record.error?.type : event.reason, paint.yellow],
    [rule && `${rule.ruleset}/${rule.id}`, paint.dim],
    [sallyport.credential && credentialText(record), paint.magenta],
    [sallyport.task?.id, paint.dim],
  ]
  return parts
    .flatMap(([text, paintPart]) =>
      text === undefined ? [] : [paintPart(escapeUnprintable(text))],
    )
    .join(' ')
}

function bodyParts(
  record: RecordBody,
  paint: Record<'bold' | 'dim', Paint>,
): [text: string | undefined, paint: Paint][] {
  if (record.sallyport.message !== undefined) return messageParts(record, paint)
  const isCall = record.event.action.startsWith('call-') && record.url !== undefined
  return isCall ? callParts(record, paint) : [[eventText(record), String]]
}

function timeOf(record: RecordBody): string {
  return record['@timestamp'].replace('T', ' ').replace('Z', '')
}

function verdictWord({ event, sallyport }: RecordBody): string {
  if (event.action === 'call-started') return 'START'
  if (event.action === 'call-progress') return 'OPEN'
  if (isDenial(event.action)) return 'DENY'
  if (event.action === 'call-ended' || event.action === 'message-allowed') {
    // What a request inside a call comes to, its response tells.
    if (
      event.outcome === 'failure' ||
      (event.action === 'call-ended' && event.outcome === 'unknown')
    )
      return 'FAIL'
    return sallyport.mode === 'observe' ? 'OBSERVE' : 'ALLOW'
  }
  return event.kind === 'alert' ? 'ALERT' : 'EVENT'
}

// Nobody reads a line of what passed unenforced and takes it for one of what was allowed.
function wouldDenyText({ sallyport: { mode, decision } }: RecordBody): string | undefined {
  const reason = mode === 'observe' ? decision?.would_deny : undefined
  return reason === undefined ? undefined : `would-deny:${reason}`
}

function verdictPaint(
  verdict: string,
  paint: Record<'red' | 'green' | 'yellow' | 'cyan' | 'bgYellow' | 'black', Paint>,
): Paint {
  if (verdict === 'OBSERVE') return (text) => paint.bgYellow(paint.black(text))
  if (verdict === 'DENY' || verdict === 'ALERT') return paint.red
  if (verdict === 'FAIL') return paint.yellow
  return verdict === 'ALLOW' ? paint.green : paint.cyan
}

function callParts(
  record: RecordBody,
  paint: Record<'bold' | 'dim', Paint>,
): [text: string | undefined, paint: Paint][] {
  const { http, url, event, gen_ai: model } = record
  const { bytesOut, bytesIn } = bytesOf(record)
  const numbers: string[] = []
  if (event.duration !== undefined) numbers.push(durationText(event.duration))
  if (bytesOut !== undefined) numbers.push(`↑${bytesText(bytesOut)}`)
  if (bytesIn !== undefined) numbers.push(`↓${bytesText(bytesIn)}`)
  return [
    [String(http?.response?.status_code ?? '-').padEnd(3), String],
    [http?.request.method ?? '-', paint.bold],
    [url?.full ?? '-', String],
    [numbers.length === 0 ? undefined : numbers.join(' '), paint.dim],
    [model && modelText(model), paint.bold],
  ]
}

function modelText({
  request,
  response,
  usage,
}: NonNullable<RecordBody['gen_ai']>): string | undefined {
  const parts = [response?.model ?? request?.model]
  if (usage !== undefined)
    parts.push(`${usage.input_tokens ?? '-'}→${usage.output_tokens ?? '-'} tokens`)
  const known = parts.filter((part) => part !== undefined)
  return known.length === 0 ? undefined : known.join(' ')
}

function messageParts(
  { mcp, gen_ai: named, url, sallyport: { message } }: RecordBody,
  paint: Record<'bold', Paint>,
): [text: string | undefined, paint: Paint][] {
  const what = mcp?.method?.name ?? message?.kind ?? '-'
  const name = named?.tool?.name ?? mcp?.resource?.uri ?? named?.prompt?.name
  return [
    [message?.direction === 'to-client' ? '←' : '→', String],
    [name === undefined ? what : `${what} ${name}`, paint.bold],
    [url?.full ?? '-', String],
  ]
}

/** What nobody reads at a terminal; `--json` has it. */
const FOR_MACHINES: ReadonlySet<string> = new Set(['signature', 'previousSignature', 'checks'])
const DETAIL_LENGTH_MAX = 200

function eventText({ event, message, destination, dns, sallyport }: RecordBody): string {
  const parts = [event.action]
  if (dns?.question !== undefined) parts.push(dns.question.type, dns.question.name)
  if (message !== undefined) parts.push(message)
  const host = destination?.domain ?? destination?.ip
  if (host !== undefined) parts.push(`${host}:${String(destination?.port)}`)
  for (const [name, value] of Object.entries(sallyport.detail ?? {})) {
    if (FOR_MACHINES.has(name)) continue
    parts.push(`${name}=${detailText(value)}`)
  }
  return parts.join(' ')
}

function detailText(value: unknown): string {
  if (typeof value === 'string') return value
  const isKey = typeof value === 'object' && value !== null && 'kid' in value
  const text = JSON.stringify(isKey ? value.kid : value)
  return text.length > DETAIL_LENGTH_MAX ? `${text.slice(0, DETAIL_LENGTH_MAX)}…` : text
}

function credentialText({ sallyport }: RecordBody): string {
  const { name, action } = sallyport.credential ?? { name: '', action: undefined }
  return action === undefined ? name : `${name}:${action}`
}

function durationText(nanoseconds: number): string {
  const ms = nanoseconds / 1e6
  if (ms < 10) return `${ms.toFixed(1)}ms`
  return ms < 10_000 ? `${ms.toFixed(0)}ms` : `${(ms / 1000).toFixed(1)}s`
}

/** A number of bytes in a few characters. */
export function bytesText(bytes: number): string {
  if (bytes < 1000) return String(bytes)
  const units = ['k', 'M', 'G', 'T']
  let value = bytes
  let unit = ''
  for (const next of units) {
    if (value < 1000) break
    value /= 1000
    unit = next
  }
  return `${value.toFixed(value < 10 ? 1 : 0)}${unit}`
}
