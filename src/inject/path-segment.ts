// A credential as one segment of a path, as Telegram has it: found exactly as it was sent, replaced, and nowhere else. Called by
// `screen.ts` and `prepare.ts`.

import type { Injection } from '../credentials/definition.ts'

type PathInjection = Extract<Injection, { readonly kind: 'path' }>

// Of a placeholder as the client sends it.
function segmentText({ format }: PathInjection, value: string): string {
  return format.replace('{}', () => encodeSegment(value))
}

/** Whether a segment is the right one with the placeholder in it. @param number of the segment, counted from 1 */
export function isOwnSegment(
  inject: PathInjection,
  number: number,
  text: string,
  placeholder: string,
): boolean {
  return number === inject.segment && text === segmentText(inject, placeholder)
}

/** The path with the value in place of the placeholder; undefined where that does not stand there, or the value cannot. */
export function replaceSegment(
  inject: PathInjection,
  path: string,
  placeholder: string,
  value: string,
): string | undefined {
  const segments = path.split('/')
  const { segment } = inject
  if (!isOwnSegment(inject, segment, segments[segment] ?? '', placeholder)) return undefined
  const written = segmentText(inject, value)
  if (/^\.{1,2}$/.test(written)) return undefined
  segments[segment] = written
  return segments.join('/')
}

// RFC 3986 section 3.3 lets these stand; a colon is in every token of Telegram's. A semicolon begins a parameter to some.
function encodeSegment(value: string): string {
  return encodeURIComponent(value).replaceAll(/%(?:3A|40|24|26|2B|2C|3D)/g, decodeURIComponent)
}
