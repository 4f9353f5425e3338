// Applies one of git's deltas. Pure; called by `pack-commits.ts`.

// Copies of length zero are this long.
const COPY_BYTES = 0x10000
const SIZE_BYTES_MAX = 5

interface Size {
  readonly value: number
  readonly end: number
}

/** How many bytes a delta makes of its base; undefined where it does not say so. */
export function readResultSize(delta: Buffer): number | undefined {
  const baseSize = readSize(delta, 0)
  return baseSize && readSize(delta, baseSize.end)?.value
}

/**
 * What a delta makes of its base; undefined where it is not well formed. Its result size is the caller's to check.
 * @see gitformat-pack(5), "Deltified representation"
 */
export function applyDelta(base: Buffer, delta: Buffer): Buffer | undefined {
  const baseSize = readSize(delta, 0)
  const resultSize = baseSize?.value === base.length ? readSize(delta, baseSize.end) : undefined
  if (resultSize === undefined) return undefined
  const result = Buffer.alloc(resultSize.value)
  let filled = 0
  let at = resultSize.end
  while (at < delta.length) {
    const code = delta[at]!
    at += 1
    const isCopy = (code & 0x80) !== 0
    const offset = isCopy ? readBytes(delta, at, code & 0x0f) : { value: at, end: at }
    const length = isCopy
      ? readBytes(delta, offset.end, (code >> 4) & 7)
      : { value: code, end: at + code }
    at = length.end
    const count = isCopy && length.value === 0 ? COPY_BYTES : length.value
    const source = isCopy ? base : delta
    // Code zero is reserved; every other one adds something, so the result bounds how many there are.
    if (count === 0 || at > delta.length) return undefined
    if (offset.value + count > source.length || filled + count > result.length) return undefined
    source.copy(result, filled, offset.value, offset.value + count)
    filled += count
  }
  return filled === result.length ? result : undefined
}

function readSize(bytes: Buffer, start: number): Size | undefined {
  let value = 0
  let scale = 1
  for (let at = start; at < start + SIZE_BYTES_MAX; at += 1) {
    const byte = bytes[at]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * scale
    if (!(byte & 0x80)) return { value, end: at + 1 }
    scale *= 128
  }
  return undefined
}

// Little end first; each bit of the mask says whether its byte is there.
function readBytes(bytes: Buffer, start: number, mask: number): Size {
  let value = 0
  let end = start
  for (let scale = 1, bits = mask; bits > 0; bits >>= 1, scale *= 256) {
    if (!(bits & 1)) continue
    value += (bytes[end] ?? 0) * scale
    end += 1
  }
  return { value, end }
}
