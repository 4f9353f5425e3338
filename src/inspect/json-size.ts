// How much work JSON makes beyond its bytes, told before it is parsed: a few million empty lists in a few megabytes would hold
// everybody up for seconds. Deliberately no grammar. Called by `model/`.

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const SPACE = 0x20

// An element costs little, a container or a member more.
const CONTAINER_COST = 10
const COST_MAX = 400_000

/**
 * Whether JSON has no more values than a question to a model or an answer would have.
 * @param text where its bytes are at hand as `latin1`, which is as good
 */
export function hasFewValues(text: string): boolean {
  let cost = 0
  for (let at = 0; at < text.length && cost <= COST_MAX; at += 1) {
    const code = text.charCodeAt(at)
    if (code === COMMA) cost += 1
    else if (code === COLON || code === OPEN_OBJECT || code === OPEN_ARRAY) cost += CONTAINER_COST
    else if (code === QUOTE) {
      const end = findStringEnd(text, at + 1)
      // Arguments of tools are JSON in a string, and are read too.
      if (mayBeJson(text.charCodeAt(at + 1))) cost += countMarks(text, at + 1, end)
      at = end
    }
  }
  return cost <= COST_MAX
}

function findStringEnd(text: string, start: number): number {
  let at = text.indexOf('"', start)
  while (at >= 0 && isEscaped(text, start, at)) at = text.indexOf('"', at + 1)
  return at < 0 ? text.length : at
}

function isEscaped(text: string, start: number, at: number): boolean {
  let before = at - 1
  while (before >= start && text.charCodeAt(before) === BACKSLASH) before -= 1
  return (at - before) % 2 === 0
}

function mayBeJson(code: number): boolean {
  return code === OPEN_OBJECT || code === OPEN_ARRAY || code === BACKSLASH || code === SPACE
}

function countMarks(text: string, start: number, end: number): number {
  let marks = 0
  for (let at = start; at < end && marks <= COST_MAX; at += 1) {
    const code = text.charCodeAt(at)
    if (code === COMMA || code === COLON || code === OPEN_OBJECT || code === OPEN_ARRAY) marks += 1
  }
  return marks
}
