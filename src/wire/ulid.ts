// Ids that sort by time: ULIDs, monotonic within a millisecond. Called wherever a call, a decision or a record is named.

import { randomFillSync } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
// Two characters at a time: ids are made for every call.
const PAIRS: readonly string[] = Array.from(
  { length: 1024 },
  (_, at) => ALPHABET[at >> 5]! + ALPHABET[at & 31]!,
)
const TIME_CHARACTERS = 10
const RANDOM_CHARACTERS = 16
const LAST_PAIR_AT = RANDOM_CHARACTERS - 2
// Drawn in bulk: one system call for many ids.
const pool = new Uint8Array(RANDOM_CHARACTERS * 512)
let poolAt = pool.length
let lastTime = -1
let timeText = ''
const last = new Uint8Array(RANDOM_CHARACTERS)
// All of the last id but its last two characters: the next one within the millisecond mostly begins the same.
let beginning = ''

/**
 * A new ULID: 26 characters of Crockford's alphabet, greater than every one made before in this process for the same or
 * an earlier time.
 * @param now epoch milliseconds
 * @see https://github.com/ulid/spec
 */
export function makeUlid(now: number): string {
  const time = Math.floor(now)
  if (time > lastTime) {
    lastTime = time
    timeText = encodeTime(time)
    draw()
    beginning = encodeBeginning()
  } else if (increment() < LAST_PAIR_AT) beginning = encodeBeginning()
  return beginning + PAIRS[(last[LAST_PAIR_AT]! << 5) | last[LAST_PAIR_AT + 1]!]!
}

function encodeTime(now: number): string {
  let text = ''
  let rest = now
  for (let at = 0; at < TIME_CHARACTERS; at += 1) {
    text = ALPHABET[rest % 32]! + text
    rest = Math.floor(rest / 32)
  }
  return text
}

// Joined, not added up: a sum of strings is put together anew by everyone who reads it.
function encodeBeginning(): string {
  const pieces = [timeText]
  for (let at = 0; at < LAST_PAIR_AT; at += 2) pieces.push(PAIRS[(last[at]! << 5) | last[at + 1]!]!)
  return pieces.join('')
}

function draw(): void {
  if (poolAt >= pool.length) {
    randomFillSync(pool)
    poolAt = 0
  }
  for (let at = 0; at < RANDOM_CHARACTERS; at += 1) last[at] = pool[poolAt + at]! & 31
  // Room to count up within the millisecond.
  last[0]! &= 15
  poolAt += RANDOM_CHARACTERS
}

// Tells the place of the first character that it changed.
function increment(): number {
  for (let at = RANDOM_CHARACTERS - 1; at >= 0; at -= 1) {
    if (last[at]! < 31) {
      last[at]! += 1
      return at
    }
    last[at] = 0
  }
  return 0
}

/** The time that a ULID was made for, in epoch milliseconds; undefined where a text is none. */
export function timeOfUlid(id: string): number | undefined {
  if (!/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(id)) return undefined
  let time = 0
  for (let at = 0; at < TIME_CHARACTERS; at += 1) time = time * 32 + ALPHABET.indexOf(id[at]!)
  return time
}
