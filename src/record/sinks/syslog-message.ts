// One record as a message of syslog, RFC 5424, counted in octets as RFC 5425 frames it: the length stands before the
// message, so nothing in it can end it. Pure. Called by `syslog.ts`.

import type { RecordBody } from '../body.ts'
import { severityOf, type Severity } from '../project/severity.ts'

/** What every message says of its sender. */
export interface SyslogSender {
  /** 0 to 23, RFC 5424 table 1. */
  readonly facility: number
  /** Any text; what a header may not have is replaced. */
  readonly hostname: string
  readonly appName: string
}

// RFC 5424 table 2: alert, error, warning, informational.
const SEVERITY: Readonly<Record<Severity, number>> = { high: 1, medium: 3, low: 4, information: 6 }

/**
 * Name of our structured data. 32473 is the enterprise number of examples, RFC 5612: we have none, and a name without one
 * is for the IANA to give.
 */
const SD_ID = 'sallyport@32473'
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z$/

/**
 * Writes the frame of a record.
 * @param content what follows the header, as it is; without a byte order mark, which JSON on a network must not have
 * @see https://www.rfc-editor.org/rfc/rfc5424#section-6
 */
export function syslogFrame(
  record: RecordBody,
  seq: number,
  content: Uint8Array,
  sender: SyslogSender,
): Buffer {
  const { event } = record
  const priority = sender.facility * 8 + SEVERITY[severityOf(record)]
  const time = record['@timestamp']
  const header = [
    `<${String(priority)}>1`,
    TIMESTAMP.test(time) ? time : '-',
    headerName(sender.hostname, 255),
    headerName(sender.appName, 48),
    '-',
    headerName(event.action, 32),
    structuredData([
      ['id', event.id],
      ['seq', String(seq)],
      ['task', record.sallyport.task?.id],
      ['reason', event.reason],
    ]),
    '',
  ].join(' ')
  const headerBytes = Buffer.from(header)
  const length = Buffer.from(`${String(headerBytes.length + content.length)} `)
  return Buffer.concat([length, headerBytes, content])
}

/** A text as a field of the header takes it: visible ASCII, so long at the most; `-` where nothing is left. */
export function headerName(text: string, charactersMax: number): string {
  const visible = text.slice(0, charactersMax).replaceAll(/[^!-~]/g, '_')
  return visible === '' ? '-' : visible
}

/** Structured data of those parameters that have a value. */
export function structuredData(
  parameters: readonly (readonly [name: string, value: string | undefined])[],
): string {
  const written = parameters
    .filter(([, value]) => value !== undefined)
    .map(([name, value = '']) => ` ${name}="${escapeValue(value)}"`)
  return `[${SD_ID}${written.join('')}]`
}

// RFC 5424 section 6.3.3. Control characters are allowed there, and would still colour whatever shows the line.
function escapeValue(value: string): string {
  return value.replaceAll(/["\\\]]/g, String.raw`\$&`).replaceAll(/\p{Cc}/gu, '?')
}
