// The bytes around escapes as they are meant, and where each of them stood. One window at a time: what is further from an escape
// than a form is long is as it was. The buffers are shared, since a window is looked at before the next is read. Called by
// `scrubber.ts`.

import { Buffer } from 'node:buffer'

import { BYTE, type Escape, type Escaping } from './escapes.ts'

/** The bytes around some escapes. */
export interface Window {
  /** As they are meant; only `length` of them are the window's. */
  readonly bytes: Uint8Array
  readonly length: number
  /** Where it ends in what was read. */
  readonly end: number
  /** Whether what was read ends within it: with the last byte or with an escape whose end has not come. */
  readonly isOpen: boolean
}

const escape: Escape = { code: 0, size: 0 }
const ASTRAL = 0x10000
const CODE_BYTES_MAX = 4
const NEAR_BYTES = 48

let meant: Buffer = Buffer.alloc(0)
// Stretches of bytes that stand beside one another in both: where each begins as meant, and as read.
let meantStarts = new Uint32Array(0)
let readStarts = new Uint32Array(0)
let stretches = 0

/**
 * Reads a window.
 * @param reach how far an escape may be from the end of a form that it is in
 * @param isLast no more bytes will come: an escape without its end is none
 */
export function readWindow(
  bytes: Uint8Array,
  from: number,
  to: number,
  escaping: Escaping,
  reach: number,
  isLast: boolean,
): Window {
  makeRoom(to - from)
  stretches = 0
  const { marker } = escaping
  const out = meant
  let length = 0
  let at = from
  for (;;) {
    const next = nextMarker(bytes, at, to, marker)
    // Far from the last escape and from the next: what is between the two reaches is in no form with either.
    const isFar = at > from && next - at >= 2 * reach
    const end = isFar ? at + reach : next
    if (end > at) begin(length, at)
    for (; at < end; at += 1, length += 1) out[length] = bytes[at]!
    if (isFar) return { bytes: out, length, end, isOpen: false }
    if (at === to) return { bytes: out, length, end: to, isOpen: true }
    escaping.read(bytes, at, to, escape, isLast)
    if (escape.size < 0 && !isLast) return { bytes: out, length, end: at, isOpen: true }
    begin(length, at)
    if (escape.size > 0) {
      length = writeCode(out, escape.code, length)
      at += escape.size
    } else {
      out[length] = marker
      length += 1
      at += 1
    }
  }
}

/** Where a byte of the window that was read last stood; of its end, where that is. */
export function whereRead(window: Window, at: number): number {
  if (at >= window.length) return window.end
  let low = 0
  let high = stretches - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (meantStarts[middle]! <= at) low = middle
    else high = middle - 1
  }
  return readStarts[low]! + at - meantStarts[low]!
}

/** Where a byte occurs; -1 where it does not. */
export function indexOf(bytes: Uint8Array, byte: number, from: number): number {
  return Buffer.prototype.indexOf.call(bytes, byte, from)
}

// Most are near: a call of the runtime takes as long as a few dozen bytes.
function nextMarker(bytes: Uint8Array, from: number, to: number, marker: number): number {
  const near = Math.min(to, from + NEAR_BYTES)
  let at = from
  while (at < near && bytes[at] !== marker) at += 1
  if (at < near || at === to) return at
  const next = indexOf(bytes, marker, at)
  return next < 0 ? to : next
}

/** Takes out of the shared buffer what was read: it held a value. */
export function forgetWindow(): void {
  meant.fill(0)
}

function begin(meantAt: number, readAt: number): void {
  meantStarts[stretches] = meantAt
  readStarts[stretches] = readAt
  stretches += 1
}

// No escape is shorter than what it means but for those beyond ASCII, which are never shorter than their bytes.
function makeRoom(length: number): void {
  if (meant.length >= length + CODE_BYTES_MAX) return
  meant = Buffer.alloc(length + CODE_BYTES_MAX)
  meantStarts = new Uint32Array(length + 1)
  readStarts = new Uint32Array(length + 1)
}

function writeCode(out: Uint8Array, code: number, at: number): number {
  if (code < 0x80 || code >= BYTE) {
    out[at] = code & 0xff
    return at + 1
  }
  let length = at
  if (code >= ASTRAL) out[length++] = 0xf0 | (code >> 18)
  if (code >= 0x800)
    out[length++] = code >= ASTRAL ? 0x80 | ((code >> 12) & 0x3f) : 0xe0 | (code >> 12)
  out[length++] = code >= 0x800 ? 0x80 | ((code >> 6) & 0x3f) : 0xc0 | (code >> 6)
  out[length++] = 0x80 | (code & 0x3f)
  return length
}
