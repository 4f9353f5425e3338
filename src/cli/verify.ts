// `sallyport verify`: checks the chains and the checkpoints of a journal, of what a sink got of it, or of one task. Needs no
// running sidecar. Called by `program.ts`.

import { createPublicKey } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'

import type { Command } from 'commander'

import { anchorOf, type Anchor } from '../record/proof/anchor.ts'
import type { CheckpointKey } from '../record/proof/checkpoint.ts'
import { checkpointKeyOf, keysIn } from '../record/proof/key-ring.ts'
import { readLines } from '../record/read/read-lines.ts'
import {
  verifyDirectory,
  verifyStream,
  verifyTaskOfDirectory,
  verifyTaskOfStream,
  type VerifyOptions,
} from '../record/proof/verify.ts'
import { configFor, type CommonOptions } from './common.ts'
import { EXIT_CODES, printJson, UsageError, type CommandIo } from './io.ts'
import { isBundle, verifyBundleFile } from './verify-bundle.ts'
import { printReport, printTaskReport } from './verify-text.ts'

interface VerifyCommandOptions extends CommonOptions {
  readonly task?: string
  readonly anchor?: string
  readonly key?: string
}

/** Adds the verb. */
export function registerVerify(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
): void {
  program
    .command('verify')
    .description('check the hash chains and the checkpoints of a journal')
    .argument(
      '[PLACE]',
      "a journal's directory, a file of records, a bundle of evidence, or - for standard input; default: the configuration's journal",
    )
    .option('--task <id>', 'check the records of this task by themselves')
    .option(
      '--anchor <checkpoint>',
      'a file with a checkpoint, or SEQ:HASH: nothing before it may be missing',
    )
    .option(
      '--key <file>',
      'trust these keys only: a JWK, a JWKS or PEM; and those that they vouch for',
    )
    .action((place: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<VerifyCommandOptions>()
      exit(verifyPlace(place ?? configFor(options, io, false).journal.dir, options, io))
    })
}

function verifyPlace(
  place: string,
  { task, anchor, key, json }: VerifyCommandOptions,
  io: CommandIo,
): number {
  const isStream = place === '-' || (existsSync(place) && statSync(place).isFile())
  if (!isStream && !existsSync(place)) throw new UsageError(`there is no directory ${place}`)
  if (isStream && isBundle(place))
    return verifyBundleFile(place, key === undefined ? [] : readKeys(key), json === true, io)
  const options: VerifyOptions = {
    ...(key !== undefined && { keys: readKeys(key) }),
    ...(anchor !== undefined && { anchor: readAnchor(anchor, task) }),
  }
  const name = place === '-' ? 'stdin' : path.basename(place)
  if (task !== undefined) {
    const report = isStream
      ? verifyTaskOfStream(readLines(place), name, task, options)
      : verifyTaskOfDirectory(place, task, options)
    if (report.records === 0) throw new UsageError(`there is no record of ${task} in ${place}`)
    if (json === true) printJson(io, report)
    else printTaskReport(report, options, io)
    return report.ok ? EXIT_CODES.ok : EXIT_CODES.no
  }
  const report = isStream
    ? verifyStream(readLines(place), name, options)
    : verifyDirectory(place, options)
  if (json === true) printJson(io, report)
  else printReport(report, options, io)
  return report.ok ? EXIT_CODES.ok : EXIT_CODES.no
}

/** @throws UsageError where it is no anchor, or one of another task */
function readAnchor(written: string, task: string | undefined): Anchor {
  const text = existsSync(written) ? readFileSync(written, 'utf8') : written
  const anchor = anchorOf(text, task)
  if (anchor === undefined)
    throw new UsageError(`--anchor ${written}: neither a file with a checkpoint nor SEQ:HASH`)
  if (task !== undefined && anchor.task !== task)
    throw new UsageError(`--anchor ${written}: that is no checkpoint of ${task}`)
  return anchor
}

/** @throws UsageError where the file holds no key */
function readKeys(file: string): readonly CheckpointKey[] {
  if (!existsSync(file)) throw new UsageError(`--key: there is no ${file}`)
  const text = readFileSync(file, 'utf8')
  const keys = text.includes('-----BEGIN') ? keysOfPem(text) : keysOfJson(text)
  if (keys.length === 0) throw new UsageError(`--key ${file}: there is no Ed25519 key in it`)
  return keys
}

function keysOfJson(text: string): readonly CheckpointKey[] {
  try {
    return keysIn(JSON.parse(text))
  } catch {
    return []
  }
}

function keysOfPem(text: string): readonly CheckpointKey[] {
  try {
    const key = checkpointKeyOf(createPublicKey(text).export({ format: 'jwk' }))
    return key === undefined ? [] : [key]
  } catch {
    return []
  }
}
