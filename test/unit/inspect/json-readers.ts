// Other readers of JSON, and one text for what each of them has read: doubles by their bits, strings by their code units,
// members sorted. Not a test itself; used by `json-mutants.ts`.

import { spawnSync } from 'node:child_process'

/** What a reader has made of bytes; undefined where it refuses them. */
export type Heard = string | undefined

/** Reads each of the texts; undefined where the reader is not installed. */
export type Reader = (texts: readonly Uint8Array[]) => readonly Heard[] | undefined

const PYTHON = `
import json, struct, sys

def describe(value):
    if value is None: return 'n'
    if value is True: return 't'
    if value is False: return 'f'
    if isinstance(value, (int, float)):
        try: double = float(value)
        except OverflowError: return 'huge'
        return ('d' if double == value else 'i%d/' % value) + struct.pack('>d', double).hex()
    if isinstance(value, str): return 's' + value.encode('utf-16-be', 'surrogatepass').hex()
    if isinstance(value, list): return '[' + ','.join(describe(item) for item in value) + ']'
    return '{' + ','.join(sorted(describe(key) + describe(value[key]) for key in value)) + '}'

for line in sys.stdin:
    try: heard = describe(json.loads(bytes.fromhex(line)))
    except (ValueError, RecursionError): heard = '-'
    print(heard)
`

/** Python's reader, which guesses encodings and has integers of any size. */
export const readWithPython: Reader = (texts) => {
  const lines = texts.map((text) => `${Buffer.from(text).toString('hex')}\n`)
  const { status, stdout } = spawnSync('python3', ['-c', PYTHON], {
    input: lines.join(''),
    encoding: 'latin1',
    maxBuffer: 2 ** 30,
  })
  if (status !== 0) return undefined
  const heard = stdout.split('\n').slice(0, -1)
  return heard.map((line) => (line === '-' ? undefined : line))
}

/** The runtime's own reader, after a decoder that mends what is not UTF-8. */
export const readWithParse: Reader = (texts) =>
  texts.map((text) => {
    try {
      const value: unknown = JSON.parse(Buffer.from(text).toString())
      return describe(value)
    } catch {
      return undefined
    }
  })

/** The text for a value. */
export function describe(value: unknown): string {
  if (value === null) return 'n'
  if (value === true) return 't'
  if (value === false) return 'f'
  if (typeof value === 'number') return `d${describeDouble(value)}`
  if (typeof value === 'string') return `s${Buffer.from(value, 'utf16le').swap16().toString('hex')}`
  if (Array.isArray(value)) return `[${value.map(describe).join(',')}]`
  if (typeof value !== 'object') throw new Error(`not of JSON: ${typeof value}`)
  const members = Object.entries(value).map(([key, item]) => describe(key) + describe(item))
  return `{${members.sort().join(',')}}`
}

function describeDouble(value: number): string {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return bytes.toString('hex')
}
