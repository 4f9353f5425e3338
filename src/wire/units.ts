// Texts with a unit: durations and sizes. Pure; each returns `undefined` where the text is not one, and whoever asked says
// what was expected. Called by the schemas of the configuration and of tasks, and by the command line.

/** What a duration looks like, for the schema: a whole number and one unit. */
export const DURATION_PATTERN: RegExp = /^([1-9]\d{0,8})(ms|s|m|h|d)$/

/** What a size looks like, for the schema: a whole number and one unit, or bytes without one. */
export const SIZE_PATTERN: RegExp = /^([1-9]\d{0,15})(B|KiB|MiB|GiB|TiB)?$/

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

const SIZE_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
}

/** Reads `30m` as milliseconds. */
export function parseDuration(text: string): number | undefined {
  return parseUnit(text, DURATION_PATTERN, DURATION_MS, '')
}

/** Reads `64MiB`, or a bare number of bytes, as bytes. */
export function parseSize(text: string): number | undefined {
  return parseUnit(text, SIZE_PATTERN, SIZE_BYTES, 'B')
}

function parseUnit(
  text: string,
  pattern: RegExp,
  units: Readonly<Record<string, number>>,
  bare: string,
): number | undefined {
  const match = pattern.exec(text)
  if (!match) return undefined
  const amount = Number(match[1]) * (units[match[2] ?? bare] ?? Number.NaN)
  return Number.isSafeInteger(amount) ? amount : undefined
}

/** Prints a duration in the largest unit that divides it. */
export function formatDuration(durationMs: number): string {
  const unit = ['d', 'h', 'm', 's'].find((name) => durationMs % (DURATION_MS[name] ?? 1) === 0)
  return unit ? `${durationMs / (DURATION_MS[unit] ?? 1)}${unit}` : `${durationMs}ms`
}
