// "Did you mean": the nearest of the known names. Pure; called wherever a written name is not one of them.

/**
 * Finds the known name that is nearest to a written one, by edits of one character (a swap of two neighbours is one).
 * @returns undefined where none is near enough to be meant
 */
export function suggestName(written: string, known: Iterable<string>): string | undefined {
  const editsMax = written.length < 4 ? 1 : Math.min(3, Math.floor(written.length / 3))
  let best: string | undefined
  let bestEdits = editsMax + 1
  for (const name of known) {
    if (Math.abs(name.length - written.length) >= bestEdits) continue
    const edits = countEdits(written.toLowerCase(), name.toLowerCase())
    if (edits < bestEdits) [best, bestEdits] = [name, edits]
  }
  return best
}

function countEdits(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1]
      let edits = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      )
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      if (row > 1 && column > 1 && swapped)
        edits = Math.min(edits, (beforeLast[column - 2] ?? 0) + 1)
      current.push(edits)
    }
    ;[beforeLast, last] = [last, current]
  }
  return last[to.length] ?? 0
}
