// Records as CloudEvents 1.0.2 in JSON, with the extensions that the specification documents: sequence, correlation, data
// classification, severity, who caused it, its trace. The record itself is the data. Pure. Called by the sinks and by
// `sallyport export`.

import type { RecordBody } from '../body.ts'
import type { Origin } from './format.ts'
import { compact, countAt, textAt, textsAt, timeOf, type JsonObject } from './members.ts'
import { severityNumber } from './severity.ts'
import { subjectOf } from './summary.ts'

/** Digits of a sequence number: the extension orders it as text. */
const SEQUENCE_DIGITS = 16

/** Longest attribute, in characters: intermediaries put attributes into headers. */
const ATTRIBUTE_CHARACTERS_MAX = 1024

/** One record as one CloudEvent. */
export function projectCloudEvent(record: RecordBody, origin: Origin): JsonObject {
  const time = timeOf(record)
  const stamp = time === undefined ? undefined : new Date(time).toISOString()
  const [severity, severityText] = severityNumber(record)
  return {
    specversion: '1.0',
    id: attribute(textAt(record, 'event', 'id')) ?? 'unknown',
    source: `urn:sallyport:${encodeURIComponent(origin.journal.toWellFormed())}`,
    type: `sallyport.${attribute(textAt(record, 'event', 'action')) ?? 'unknown'}`,
    datacontenttype: 'application/json',
    ...compact({
      subject: attribute(subjectOf(record) ?? textAt(record, 'sallyport', 'task', 'id')),
      time: stamp,
      recordedtime: stamp,
      sequence: sequenceOf(record),
      correlationid: attribute(textAt(record, 'sallyport', 'task', 'id')),
      traceparent: traceparentOf(record),
      ...classificationOf(record),
      ...authOf(record),
    }),
    severitynumber: severity,
    severitytext: severityText,
    data: record,
  }
}

function attribute(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const cut = text.slice(0, ATTRIBUTE_CHARACTERS_MAX).toWellFormed()
  return cut === '' ? undefined : Array.from(cut, allowed).join('')
}

// The type system of CloudEvents has no control characters and no noncharacters: the last two of every plane, and a block.
function allowed(character: string): string {
  const point = character.codePointAt(0) ?? 0
  const isControl = point <= 0x1f || (point >= 0x7f && point <= 0x9f)
  const isNoncharacter = (point & 0xff_fe) === 0xff_fe || (point >= 0xfd_d0 && point <= 0xfd_ef)
  return isControl || isNoncharacter ? '\uFFFD' : character
}

function sequenceOf(record: unknown): string | undefined {
  const seq = countAt(record, 'sallyport', 'chain', 'seq')
  return seq === undefined ? undefined : String(seq).padStart(SEQUENCE_DIGITS, '0')
}

const TRACE = /^(?!0+$)[0-9a-f]+$/

// Whether the trace was sampled, records do not keep.
function traceparentOf(record: unknown): string | undefined {
  const trace = textAt(record, 'trace', 'id')
  const span = textAt(record, 'span', 'id')
  if (trace?.length !== 32 || span?.length !== 16 || !TRACE.test(trace) || !TRACE.test(span))
    return undefined
  return `00-${trace}-${span}-00`
}

// The extension demands a class where a law is named; the highest keeps the event from those who may not have it.
function classificationOf(record: unknown): JsonObject {
  const dataClass = attribute(textAt(record, 'sallyport', 'decision', 'data'))
  const laws = textsAt(record, 'sallyport', 'decision', 'regulation')
    .map((law) => attribute(law.replaceAll(/[\s,]/g, '')))
    .filter((law) => law !== undefined)
  if (laws.length === 0) return { dataclassification: dataClass }
  return { dataclassification: dataClass ?? 'restricted', dataregulation: laws.join(',') }
}

// Who caused it: the agent's instance; a principal of the control API; else the sidecar by itself.
function authOf(record: unknown): JsonObject {
  const principal =
    textAt(record, 'sallyport', 'detail', 'principal') ??
    textAt(record, 'sallyport', 'detail', 'actor')
  if (principal === 'sidecar') return { authtype: 'system' }
  const id = attribute(principal ?? textAt(record, 'sallyport', 'task', 'instance'))
  return id === undefined ? { authtype: 'system' } : { authtype: 'service_account', authid: id }
}
