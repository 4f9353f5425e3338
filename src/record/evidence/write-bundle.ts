// Makes a bundle out of a journal: reads it once, keeps what belongs to a task or a period byte for byte, derives what is said
// about it, and puts all of it into one file. Deliberately asks nobody: what else is needed is handed in. Called by
// `cli/evidence.ts`.

import { createHash } from 'node:crypto'
import { closeSync, openSync, renameSync, rmSync } from 'node:fs'

import type { RecordBody } from '../body.ts'
import type { CheckpointKey } from '../proof/checkpoint.ts'
import type { KeyAnnouncement } from '../proof/key-announcement.ts'
import { tailRecords } from '../read/tail.ts'
import { ChainFollower } from './chains.ts'
import { ContextLines } from './context.ts'
import type { Framework } from './control-map.ts'
import { Coverage } from './coverage.ts'
import { Derivation, DERIVATION, jsonOf, type EvidenceScope } from './derive.ts'
import { BUNDLE, isAnnouncement, type BundleKeys, type Manifest } from './manifest.ts'
import { missingIn } from './missing.ts'
import { readmeText } from './readme.ts'
import { Spool } from './spool.ts'
import { writeTar, type TarMember } from './tar.ts'

/** What a bundle is made with. */
export interface BundleOptions {
  readonly journalDir: string
  readonly scope: EvidenceScope
  /** Empty: all. */
  readonly frameworks: readonly Framework[]
  /** Where it goes; what is there is replaced once the bundle is whole. */
  readonly out: string
  /** The program's version. */
  readonly program: string
  /** The text of a rule file by its digest; undefined where it is not kept. */
  readonly rulesOf: (version: string) => string | undefined
  /** Keys of receipts. */
  readonly receiptKeys: readonly CheckpointKey[]
  /** Why no checkpoint was made just now, where none was. */
  readonly noCheckpoint: string | undefined
}

interface Spools {
  readonly records: Spool
  readonly decisions: Spool
  readonly checkpoints: Spool
  readonly context: Spool
}

/** What was read of a journal. */
interface Gathered {
  readonly derivation: Derivation
  readonly follower: ChainFollower
  readonly coverage: Coverage
  readonly announcements: ReadonlyMap<string, KeyAnnouncement>
  readonly versions: ReadonlySet<string>
  readonly asOf: string | undefined
  readonly records: number
}

/**
 * Writes a bundle.
 * @returns its manifest; undefined where the journal has nothing of what is asked for, and nothing was written
 * @throws the system's error where it cannot be written
 */
export async function writeBundle(options: BundleOptions): Promise<Manifest | undefined> {
  const spools = openSpools(options.out)
  try {
    const gathered = await gather(options, spools)
    return gathered.records === 0 ? undefined : assemble(options, spools, gathered)
  } finally {
    for (const spool of Object.values(spools)) spool.remove()
  }
}

function openSpools(out: string): Spools {
  const open = (name: string): Spool => new Spool(`${out}.${String(process.pid)}.${name}`)
  return {
    records: open('records'),
    decisions: open('decisions'),
    checkpoints: open('checkpoints'),
    context: open('context'),
  }
}

async function gather(options: BundleOptions, spools: Spools): Promise<Gathered> {
  const { scope, frameworks, journalDir } = options
  const derivation = new Derivation(scope, frameworks)
  const announcements = new Map<string, KeyAnnouncement>()
  const follower = new ChainFollower('task' in scope, (kid) => announcements.get(kid)?.key)
  const context = new ContextLines((line) => spools.context.add(`${line}\n`))
  const coverage = new Coverage()
  let records = 0
  let asOf: string | undefined
  const filter = { all: true }
  for await (const { line, record } of tailRecords(journalDir, { filter, follow: false })) {
    const announced = record.sallyport.detail
    if (record.event.action === 'checkpoint-key' && isAnnouncement(announced))
      announcements.set(announced.key.kid, announced)
    // What a period has is one piece of the chain, also where the clock went back.
    const isIn = belongs(scope, record) || (records > 0 && !('task' in scope))
    if (isIn === 'over') break
    context.add(line, record, isIn)
    if (!isIn) continue
    records += 1
    asOf = record['@timestamp']
    follower.follow(Buffer.from(line), record)
    coverage.add(record)
    spools.records.add(`${line}\n`)
    const { decision, checkpoint } = derivation.add(record)
    if (decision !== undefined) spools.decisions.add(decision)
    if (checkpoint !== undefined) spools.checkpoints.add(checkpoint)
  }
  const versions = new Set([...derivation.versions, ...context.versions])
  return { derivation, follower, coverage, announcements, versions, asOf, records }
}

/** Whether a record is of what a bundle is about; `over` where none behind it is. */
function belongs(scope: EvidenceScope, record: RecordBody): boolean | 'over' {
  if ('task' in scope) return record.sallyport.task?.path.includes(scope.task) === true
  const { since, until } = scope
  const at = Date.parse(record['@timestamp'])
  if (until !== undefined && at >= Date.parse(until)) return 'over'
  return since === undefined || at >= Date.parse(since)
}

function assemble(options: BundleOptions, spools: Spools, gathered: Gathered): Manifest {
  const { scope, frameworks, program, out } = options
  const { derivation, announcements, asOf, records } = gathered
  const members = new Map<string, Content>()
  const rulesMissing: string[] = []
  for (const version of [...gathered.versions].toSorted()) {
    const text = options.rulesOf(version)
    if (text === undefined) rulesMissing.push(version)
    else members.set(`rules/${version.replace(/^sha256:/, '')}.yaml`, inMemory(Buffer.from(text)))
  }
  for (const [name, bytes] of derivation.members()) members.set(name, inMemory(bytes))
  for (const [name, spool] of Object.entries(spools)) {
    const sha256 = spool.finish()
    const content = { file: spool.file, bytes: spool.bytes }
    members.set(`${name}.ndjson`, { content, bytes: spool.bytes, sha256 })
  }
  const keys: BundleKeys = {
    checkpoints: [...announcements.values()].map(({ key }) => key),
    announcements: [...announcements.values()],
    receipts: options.receiptKeys,
  }
  members.set('keys.json', inMemory(jsonOf(keys)))
  members.set('README.txt', inMemory(Buffer.from(readmeText(scope))))
  const listed = [...members].toSorted(([one], [other]) => (one < other ? -1 : 1))
  const manifest: Manifest = {
    bundle: BUNDLE,
    program,
    derivation: DERIVATION,
    scope,
    frameworks,
    asOf,
    records,
    members: listed.map(([name, { bytes, sha256 }]) => ({ name, bytes, sha256 })),
    missing: missingIn({
      scope,
      chains: gathered.follower.states(),
      children: gathered.coverage.missing(gathered.follower.states()),
      hasReceipt: derivation.receipt !== undefined,
      keys,
      rulesMissing,
      noCheckpoint: options.noCheckpoint,
    }),
  }
  const all: TarMember[] = [
    { name: 'manifest.json', content: jsonOf(manifest) },
    ...listed.map(([name, { content }]) => ({ name, content })),
  ]
  writeFile(out, all, Date.parse(asOf ?? '') || 0)
  return manifest
}

interface Content {
  readonly content: TarMember['content']
  readonly bytes: number
  readonly sha256: string
}

function inMemory(content: Buffer): Content {
  const sha256 = createHash('sha256').update(content).digest('hex')
  return { content, bytes: content.length, sha256 }
}

function writeFile(out: string, members: readonly TarMember[], time: number): void {
  const beside = `${out}.${String(process.pid)}.new`
  const fd = openSync(beside, 'wx', 0o600)
  try {
    writeTar(fd, members, time)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
  renameSync(beside, out)
}
