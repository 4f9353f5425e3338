// JSON whose text is harmless wherever it is shown: what would move a cursor, colour a terminal, hide or reorder text, end a
// script or open a tag in a browser is written as an escape. Whoever reads it as JSON gets the same value. Pure; called by all
// that write JSON which strangers have a say in.

// What JSON.stringify leaves as it is and is harmless: printable ASCII but for what begins and ends tags.
const HARMLESS = /^[ -;=?-~]*$/
// Tags, controls (also those beyond ASCII), format characters (bidirectional overrides, zero widths, byte order marks, tags),
// separators, private use, and characters that are drawn as nothing. Lone surrogates JSON.stringify has escaped already.
const HARMFUL = /[<>\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Default_Ignorable_Code_Point}]/gu

/**
 * Writes a value as JSON.
 * @param indent blanks a level; the text has line breaks then
 */
export function jsonText(value: unknown, indent = 0): string {
  const text = JSON.stringify(value, undefined, indent)
  if (indent === 0) return escapeHarmful(text)
  return text.split('\n').map(escapeHarmful).join('\n')
}

/** Escapes what is harmful in JSON that is written already, without line breaks: it can stand nowhere but in strings. */
export function escapeHarmful(json: string): string {
  return HARMLESS.test(json) ? json : json.replace(HARMFUL, escapeCharacter)
}

// Beyond 16 bits as two escapes, as JSON has it.
function escapeCharacter(character: string): string {
  let escaped = ''
  for (let at = 0; at < character.length; at += 1)
    escaped += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`
  return escaped
}
