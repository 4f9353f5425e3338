// `sallyport evidence`: one file that a third party can check offline with the public key alone, of a task or of a period.
// Reads the journal's files; asks a running sidecar, where one answers, for a checkpoint of what is not sealed yet.
// Called by `program.ts`.

import { existsSync } from 'node:fs'
import path from 'node:path'

import type { Command } from 'commander'

import type { ControlClient } from '../control/client.ts'
import type { Config } from '../config/config.ts'
import { readKeptRules } from '../config/kept-rules.ts'
import { FRAMEWORKS, isFramework, type Framework } from '../record/evidence/control-map.ts'
import type { CheckpointKey } from '../record/proof/checkpoint.ts'
import type { EvidenceScope } from '../record/evidence/derive.ts'
import { isKey, type Manifest } from '../record/evidence/manifest.ts'
import { writeBundle } from '../record/evidence/write-bundle.ts'
import { escapeUnprintable } from '../record/printable.ts'
import { ReceiptSigner } from '../tasks/receipt.ts'
import { configFor, type CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'
import { readPeriod } from './period.ts'
import { countOf } from './problems.ts'

interface EvidenceFlags extends CommonOptions {
  readonly out?: string
  readonly since?: string
  readonly until?: string
  readonly framework?: readonly string[]
}

/** Tasks that a checkpoint is asked for. */
const CHILDREN_MAX = 200

interface Asked {
  readonly keys: CheckpointKey[]
  readonly noCheckpoint: string | undefined
}

/** Adds the verb. */
export function registerEvidence(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
): void {
  program
    .command('evidence')
    .description(
      'one file that a third party can check offline: records, rules, receipts, controls',
    )
    .argument('[TASK]', 'the task, with those below it; or give --since and --until')
    .argument('[DIR]', "default: the configuration's journal")
    .option('--out <file>', 'default: evidence-TASK.tar')
    .option('--since <time>', 'of everything from this time on: 15m, 2h, or 2027-01-31T12:00:00Z')
    .option('--until <time>', 'up to this time, written the same way')
    .option('--framework <name...>', `controls of these: ${Object.keys(FRAMEWORKS).join(', ')}`)
    .action(
      async (
        task: string | undefined,
        dir: string | undefined,
        _options: unknown,
        command: Command,
      ) => {
        const options = command.optsWithGlobals<EvidenceFlags>()
        exit(await makeEvidence(task, dir, options, io))
      },
    )
}

async function makeEvidence(
  task: string | undefined,
  dir: string | undefined,
  options: EvidenceFlags,
  io: CommandIo,
): Promise<number> {
  const scope = readScope(task, options)
  const frameworks = (options.framework ?? []).map(readFramework)
  // What the sidecar's own configuration says, whatever address it is asked at.
  const { control: _control, ...own } = options
  const config = configFor(own, io, true)
  const journalDir = dir ?? config.journal.dir
  if (!existsSync(journalDir)) throw new UsageError(`there is no directory ${journalDir}`)
  const out = options.out ?? defaultName(scope)
  const { keys, noCheckpoint } = await askSidecar(task, options, io)
  const manifest = await writeBundle({
    journalDir,
    scope,
    frameworks,
    out: path.resolve(out),
    program: io.version,
    rulesOf: (version) => readKeptRules(config.stateDir, version),
    receiptKeys: [...receiptKeysOf(config), ...keys].filter(
      ({ kid }, at, all) => all.findIndex((key) => key.kid === kid) === at,
    ),
    noCheckpoint,
  })
  if (manifest === undefined) {
    io.err(`${journalDir} has no record of ${task ?? 'that time'}\n`)
    return EXIT_CODES.no
  }
  if (options.json === true) printJson(io, { file: out, ...manifest })
  else printMade(out, manifest, io)
  return EXIT_CODES.ok
}

function readScope(task: string | undefined, options: EvidenceFlags): EvidenceScope {
  const { since, until } = readPeriod(options)
  const isPeriod = since !== undefined || until !== undefined
  if (task !== undefined && isPeriod)
    throw new UsageError('give a task, or `--since` and `--until`: a part of a task proves nothing')
  if (task !== undefined) return { task }
  if (!isPeriod) throw new UsageError('evidence needs a task, or `--since` or `--until`')
  const textOf = (time: number | undefined): string | undefined =>
    time === undefined ? undefined : new Date(time).toISOString()
  return { since: textOf(since), until: textOf(until) }
}

function readFramework(word: string): Framework {
  if (isFramework(word)) return word
  throw new UsageError(
    `there is no framework ${word}: known are ${Object.keys(FRAMEWORKS).join(', ')}`,
  )
}

function defaultName(scope: EvidenceScope): string {
  if (!('task' in scope)) return 'evidence.tar'
  if (!/^[\w-]{1,64}$/.test(scope.task)) throw new UsageError(`${scope.task} is no task`)
  return `evidence-${scope.task}.tar`
}

// Reading the key's file makes none.
function receiptKeysOf({ stateDir }: Config): CheckpointKey[] {
  if (!existsSync(path.join(stateDir, 'receipt.key'))) return []
  try {
    return [new ReceiptSigner(stateDir).publicKey].filter(isKey)
  } catch {
    // Whoever may read the journal need not be let at the key; the sidecar tells the public half too.
    return []
  }
}

// What is not sealed yet is covered by a checkpoint that is made now.
async function askSidecar(
  task: string | undefined,
  options: EvidenceFlags,
  io: CommandIo,
): Promise<Asked> {
  const keys: CheckpointKey[] = []
  let said = ''
  const quiet = { ...io, out: () => undefined, err: (text: string) => void (said += text) }
  let noCheckpoint: string | undefined = 'no sidecar was asked'
  try {
    await callControl(options, quiet, async (client) => {
      keys.push(...(await client.listKeys()).filter(isKey))
      if (task === undefined) await client.makeCheckpoint()
      else await coverTask(client, task, CHILDREN_MAX)
      noCheckpoint = undefined
      return EXIT_CODES.ok
    })
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    said = error.message
  }
  if (noCheckpoint !== undefined && said !== '') noCheckpoint = said.split('\n', 1)[0]
  return { keys, noCheckpoint }
}

async function coverTask(client: ControlClient, task: string, left: number): Promise<number> {
  const { state, children } = await client.showTask(task)
  let rest = left - 1
  for (const child of children) if (rest > 0) rest = await coverTask(client, child, rest)
  if (state !== 'ended') await client.makeCheckpoint(task)
  return rest
}

function printMade(out: string, manifest: Manifest, io: CommandIo): void {
  const paint = paintFor(io)
  const { records, members, missing } = manifest
  io.out(
    `${paint.green('written')}: ${escapeUnprintable(out)}, ${countOf(records, 'record')} in ${countOf(members.length, 'member')}\n`,
  )
  for (const { what, why } of missing)
    io.out(`${paint.yellow('missing')}: ${escapeUnprintable(`${what}: ${why}`)}\n`)
}
