// Reads the rule files below a directory: names, contents and one digest over all. Deliberately does not know what is in
// them. Called by `rules.ts`.

import { createHash } from 'node:crypto'
import {
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  type BigIntStats,
} from 'node:fs'
import path from 'node:path'

/** One file as it was read; without a text it could not be. */
interface RuleFile {
  readonly file: string
  readonly text?: string
  /** Why there is no text. */
  readonly failure?: string
}

/** All files of one reading. */
export interface RuleFilesRead {
  readonly files: readonly RuleFile[]
  /** Equal for equal names and contents. */
  readonly digest: string
}

/** A file untouched for this long is not read again: two writes in one tick of the file system's clock look alike. */
const SETTLED_MS = 2000

interface Kept {
  readonly stamp: string
  readonly settled: boolean
  readonly read: RuleFile
  readonly digest: string
}

/** Reads the same places again and again, and each file again only where it may have changed. */
export class RuleFileReader {
  readonly #places: readonly string[]
  readonly #bytesMax: number
  #kept = new Map<string, Kept>()

  /** @param places files, and directories of which every `*.yaml` below counts */
  constructor(places: readonly string[], bytesMax: number) {
    this.#places = places
    this.#bytesMax = bytesMax
  }

  /** Reads all files; a place that does not exist holds none. */
  read(): RuleFilesRead {
    const kept = new Map<string, Kept>()
    const found: RuleFile[] = []
    const hash = createHash('sha256')
    for (const entry of this.#places.flatMap(listRuleFiles)) {
      const item = entry.failure === undefined ? this.#readFile(entry.file) : unread(entry)
      kept.set(entry.file, item)
      found.push(item.read)
      hash.update(`${entry.file}\0${item.digest}\0`)
    }
    this.#kept = kept
    return { files: found, digest: `sha256:${hash.digest('hex')}` }
  }

  #readFile(file: string): Kept {
    let stats: BigIntStats
    let bytes: Buffer
    try {
      stats = statSync(file, { bigint: true })
      const stamp = [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':')
      const before = this.#kept.get(file)
      if (before?.settled === true && before.stamp === stamp) return before
      if (stats.size > this.#bytesMax)
        return unread({ file, failure: `the file is larger than ${this.#bytesMax} bytes` })
      bytes = readFileSync(file)
      const read = { file, text: bytes.toString('utf8') }
      const settled = Number(stats.ctimeMs) < Date.now() - SETTLED_MS
      return { stamp, settled, read, digest: createHash('sha256').update(bytes).digest('hex') }
    } catch {
      return unread({ file, failure: 'the file cannot be read' })
    }
  }
}

function unread(read: RuleFile): Kept {
  return { stamp: '', settled: false, read, digest: `!${read.failure}` }
}

/** Hidden names are passed over: Kubernetes keeps the versions of a mounted map in `..data` and its like. */
function listRuleFiles(place: string): RuleFile[] {
  const found: RuleFile[] = []
  const visited = new Set<string>()
  const walk = (folder: string): void => {
    let names: string[]
    try {
      const real = realpathSync(folder)
      if (visited.has(real)) return
      visited.add(real)
      names = readdirSync(folder).sort()
    } catch {
      found.push({ file: folder, failure: 'the directory cannot be read' })
      return
    }
    for (const name of names) {
      if (name.startsWith('.')) continue
      const entry = path.join(folder, name)
      if (isDirectory(entry)) walk(entry)
      else if (name.endsWith('.yaml')) found.push({ file: entry })
    }
  }
  if (isDirectory(place)) walk(place)
  else if (existsSync(place)) found.push({ file: place })
  return found
}

/** What cannot be looked at is no directory; a file of that name then says why it cannot be read. */
function isDirectory(entry: string): boolean {
  try {
    return statSync(entry).isDirectory()
  } catch {
    return false
  }
}
