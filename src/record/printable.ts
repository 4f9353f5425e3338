// Makes text of strangers safe for a terminal: what would move the cursor, hide or reorder text is shown as an escape.
// Pure. Called by `log.ts` and `render.ts`.

// Controls, format characters (bidirectional overrides among them), separators, lone surrogates, private use, and
// characters that are drawn as nothing.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Default_Ignorable_Code_Point}]/gu

/** Shows every character that a terminal would act on or not draw as `\u{hex}`. */
export function escapeUnprintable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  )
}
