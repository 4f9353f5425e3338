// Checks a bundle with nothing but itself and a public key: every member against the manifest, every record against the chain of
// its task, every signature, every rule file against what records name; and derives again what is said about the records.
// Nothing is unpacked, and nothing is held that a hostile bundle could make large. Called by `cli/verify-bundle.ts`.

import { createHash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'

import type { RecordBody } from '../body.ts'
import type { CheckpointKey } from '../proof/checkpoint.ts'
import { parseRecord } from '../read/tail.ts'
import { KeyRing } from '../proof/key-ring.ts'
import { ChainFollower, type ChainState } from './chains.ts'
import { Coverage } from './coverage.ts'
import { Derivation, DERIVATION } from './derive.ts'
import { readKeys, readManifest, type BundleKeys, type Manifest } from './manifest.ts'
import { readmeText } from './readme.ts'
import { isReceiptSigned } from './receipt.ts'
import { linesIn, pieces, readTarEntries, type TarEntry } from './tar.ts'

/** Something that is not as it was written. */
interface BundleProblem {
  /** The member; empty where it is the file as a whole. */
  readonly member: string
  /** The line in it, counted from 1. */
  readonly line?: number
  readonly what: string
}

/** What came of a check. */
export interface BundleReport {
  readonly ok: boolean
  readonly manifest: Manifest | undefined
  readonly records: number
  /** `given`: by a key that was handed in; `own`: by the bundle's own keys, which whoever made it up would have made up too. */
  readonly keys: 'given' | 'own'
  readonly chains: readonly ChainState[]
  /** In the order of the members; at most 100. */
  readonly problems: readonly BundleProblem[]
  /** What nothing in the bundle can show. */
  readonly notes: readonly string[]
}

/** What checking takes beside the file. */
export interface VerifyBundleOptions {
  /** Keys that are trusted; none: those of the bundle. */
  readonly keys: readonly CheckpointKey[]
  /** Told of every record that could be read, in order, and of every rule file. */
  readonly onRecord?: (record: RecordBody) => void
  readonly onContext?: (record: RecordBody) => void
  readonly onRules?: (version: string, text: () => string) => void
}

const PROBLEMS_MAX = 100
const SMALL_BYTES_MAX = 64 * 1024 * 1024
const LINE_BYTES_MAX = 64 * 1024 * 1024
const RULES = /^rules\/([0-9a-f]{64})\.yaml$/
const FIXED: ReadonlySet<string> = new Set([
  'manifest.json',
  'README.txt',
  'inventory.json',
  'records.ndjson',
  'decisions.ndjson',
  'checkpoints.ndjson',
  'context.ndjson',
  'controls.json',
  'controls.md',
  'keys.json',
  'receipt.json',
  'seal.json',
])

/** Checks a bundle. @throws the system's error where the file cannot be read */
export function verifyBundle(file: string, options: VerifyBundleOptions): BundleReport {
  const fd = openSync(file, 'r')
  try {
    return new BundleCheck(fd, options).run()
  } finally {
    closeSync(fd)
  }
}

class BundleCheck {
  readonly #fd: number
  readonly #options: VerifyBundleOptions
  readonly #problems: BundleProblem[] = []
  readonly #notes: string[] = []
  readonly #entries: Map<string, TarEntry> = new Map()
  #records = 0
  #asOf: string | undefined
  #chains: readonly ChainState[] = []

  constructor(fd: number, options: VerifyBundleOptions) {
    this.#fd = fd
    this.#options = options
  }

  run(): BundleReport {
    const manifest = this.#readManifest()
    if (manifest !== undefined) {
      this.#checkMembers(manifest)
      this.#checkRules()
      const keys = readKeys(this.#textOf('keys.json'))
      this.#checkRecords(manifest, keys)
      for (const { what, why } of manifest.missing) this.#notes.push(`${what}: ${why}`)
    }
    return {
      ok: this.#problems.length === 0,
      manifest,
      records: this.#records,
      keys: this.#options.keys.length > 0 ? 'given' : 'own',
      chains: this.#chains,
      problems: this.#problems,
      notes: this.#notes,
    }
  }

  #report(member: string, what: string, line?: number): void {
    if (this.#problems.length >= PROBLEMS_MAX) return
    this.#problems.push({ member, what, ...(line !== undefined && { line }) })
  }

  #readManifest(): Manifest | undefined {
    try {
      for (const entry of readTarEntries(this.#fd)) this.#entries.set(entry.name, entry)
    } catch (error) {
      this.#report('', error instanceof Error ? error.message : String(error))
      return undefined
    }
    const manifest = readManifest(this.#textOf('manifest.json'))
    if (manifest === undefined) this.#report('manifest.json', 'it is no manifest of a bundle')
    return manifest
  }

  #textOf(name: string): string {
    const entry = this.#entries.get(name)
    if (entry === undefined) return ''
    if (entry.bytes > SMALL_BYTES_MAX) {
      this.#report(name, 'it is larger than it ever is')
      return ''
    }
    return Buffer.concat([...pieces(this.#fd, entry.offset, entry.bytes)]).toString()
  }

  #hashOf({ offset, bytes }: TarEntry): string {
    const hash = createHash('sha256')
    for (const piece of pieces(this.#fd, offset, bytes)) hash.update(piece)
    return hash.digest('hex')
  }

  #checkMembers({ members }: Manifest): void {
    const listed = new Map(members.map((member) => [member.name, member]))
    for (const [name, entry] of this.#entries) {
      if (name === 'manifest.json') continue
      const member = listed.get(name)
      if (member === undefined) this.#report(name, 'the manifest does not list it')
      else if (!FIXED.has(name) && !RULES.test(name)) this.#report(name, 'no bundle has it')
      else if (member.bytes !== entry.bytes || member.sha256 !== this.#hashOf(entry))
        this.#report(name, 'it is not what the manifest says')
    }
    for (const { name } of members)
      if (!this.#entries.has(name)) this.#report(name, 'the manifest lists it and it is not there')
    for (const name of ['records.ndjson', 'keys.json', 'inventory.json', 'controls.json'])
      if (!this.#entries.has(name)) this.#report(name, 'it is not there')
  }

  #checkRules(): void {
    for (const [name, entry] of this.#entries) {
      const [, digest] = RULES.exec(name) ?? []
      if (digest === undefined) continue
      if (this.#hashOf(entry) !== digest)
        this.#report(name, 'it is not the file that its name says')
      else this.#options.onRules?.(`sha256:${digest}`, () => this.#textOf(name))
    }
  }

  #checkRecords(manifest: Manifest, keys: BundleKeys): void {
    const { scope, frameworks } = manifest
    const ring = new KeyRing(this.#options.keys)
    for (const announcement of keys.announcements)
      if (!ring.add(announcement))
        this.#report('keys.json', 'a key is not signed by those it names')
    this.#readContext()
    const derivation = new Derivation(scope, frameworks)
    const coverage = new Coverage()
    const follower = new ChainFollower('task' in scope, (kid) =>
      ring.isTrusted(kid) ? ring.get(kid) : undefined,
    )
    const lines = { decisions: createHash('sha256'), checkpoints: createHash('sha256') }
    const entry = this.#entries.get('records.ndjson')
    try {
      for (const line of entry ? linesIn(this.#fd, entry, LINE_BYTES_MAX) : []) {
        this.#records += 1
        const record = parseRecord(line.toString())
        if (record === undefined) {
          this.#report('records.ndjson', 'it is no record', this.#records)
          continue
        }
        this.#checkRecord(line, record, scope, follower)
        coverage.add(record)
        const { decision, checkpoint } = derivation.add(record)
        if (decision !== undefined) lines.decisions.update(decision)
        if (checkpoint !== undefined) lines.checkpoints.update(checkpoint)
        this.#asOf = record['@timestamp']
        this.#options.onRecord?.(record)
      }
      this.#chains = follower.states()
      if (manifest.records !== this.#records || manifest.asOf !== this.#asOf)
        this.#report('manifest.json', 'it does not say what records there are')
      this.#checkKeys(ring, keys)
      const { problems, notes } = coverage.finish(this.#chains, manifest, ring.isPinned)
      for (const { member, what } of problems) this.#report(member, what)
      this.#notes.push(...notes)
      this.#compare(manifest, derivation, lines)
      this.#checkReceipt(derivation.receipt, keys)
      this.#checkVersions(derivation)
    } catch (error) {
      // A record whose members are not what records have.
      const what = error instanceof Error ? error.message : String(error)
      this.#report('records.ndjson', `it cannot be read: ${what}`, this.#records)
    }
  }

  #checkRecord(
    line: Buffer,
    record: RecordBody,
    scope: Manifest['scope'],
    follower: ChainFollower,
  ): void {
    if ('task' in scope && record.sallyport.task?.path.includes(scope.task) !== true)
      this.#report('records.ndjson', `it is no record of ${scope.task}`, this.#records)
    const problem = follower.follow(line, record)
    if (problem !== undefined) this.#report('records.ndjson', problem, this.#records)
  }

  #readContext(): void {
    const entry = this.#entries.get('context.ndjson')
    if (entry === undefined) return
    try {
      for (const line of linesIn(this.#fd, entry, LINE_BYTES_MAX)) {
        const record = parseRecord(line.toString())
        if (record === undefined) this.#report('context.ndjson', 'a line is no record')
        else this.#options.onContext?.(record)
      }
    } catch (error) {
      this.#report('context.ndjson', error instanceof Error ? error.message : String(error))
    }
  }

  #checkKeys(ring: KeyRing, keys: BundleKeys): void {
    if (!ring.isPinned)
      this.#notes.push(
        'checked by the keys of the bundle alone: --key compares with one that is known',
      )
    else if (!keys.checkpoints.some(({ kid }) => ring.isTrusted(kid)))
      this.#report('keys.json', 'none of its keys is the given one, or follows from it')
  }

  // What is said about the records has to follow from them.
  #compare(
    { derivation: version, program, scope }: Manifest,
    derivation: Derivation,
    lines: Readonly<Record<'decisions' | 'checkpoints', ReturnType<typeof createHash>>>,
  ): void {
    if (version !== DERIVATION) {
      const what = `it was written by ${program}, and what it says of the records cannot be compared`
      this.#report('manifest.json', what)
      return
    }
    const expected = new Map<string, string>()
    for (const [name, bytes] of derivation.members())
      expected.set(name, createHash('sha256').update(bytes).digest('hex'))
    expected.set('README.txt', createHash('sha256').update(readmeText(scope)).digest('hex'))
    expected.set('decisions.ndjson', lines.decisions.digest('hex'))
    expected.set('checkpoints.ndjson', lines.checkpoints.digest('hex'))
    for (const [name, sha256] of expected) {
      const entry = this.#entries.get(name)
      if (entry === undefined) this.#report(name, 'it is not there')
      else if (this.#hashOf(entry) !== sha256)
        this.#report(name, 'it does not follow from the records')
    }
    for (const name of ['receipt.json', 'seal.json'])
      if (this.#entries.has(name) && !expected.has(name))
        this.#report(name, 'it does not follow from the records')
  }

  #checkReceipt(receipt: unknown, { receipts }: BundleKeys): void {
    if (receipt === undefined) return
    const signed = isReceiptSigned(receipt, receipts)
    if (signed === 'wrong') this.#report('receipt.json', 'its signature does not hold')
    if (signed === 'no-key') this.#notes.push('the key of the receipt is not in the bundle')
  }

  #checkVersions({ versions }: Derivation): void {
    for (const version of versions)
      if (!this.#entries.has(`rules/${version.replace(/^sha256:/, '')}.yaml`))
        this.#notes.push(`a record names the rules ${version}, whose text is not here`)
  }
}
