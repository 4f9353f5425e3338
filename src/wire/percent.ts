// Percent escapes of URLs, read leniently: for who looks for something in them, not for who judges them. Pure. Called where heads
// are screened and written, and where records are redacted.

const PERCENT = 0x25

/** Decodes percent escapes once, latin1 to latin1; what is no escape stays. */
export function decodePercent(text: string): string {
  if (!text.includes('%')) return text
  const bytes = Buffer.from(text, 'latin1')
  let length = 0
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at]!
    const high = byte === PERCENT ? digitOf(bytes[at + 1]) : -1
    const low = high < 0 ? -1 : digitOf(bytes[at + 2])
    if (low < 0) bytes[length] = byte
    else {
      bytes[length] = high * 16 + low
      at += 2
    }
    length += 1
  }
  return bytes.toString('latin1', 0, length)
}

function digitOf(byte: number | undefined): number {
  if (byte === undefined) return -1
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
