// `sallyport verify BUNDLE`: a bundle of evidence checked offline, with the public key that was given by another way.
// Called by `verify.ts`.

import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'

import { thumbprint } from '../record/key-announcement.ts'
import type { CheckpointKey } from '../record/checkpoint.ts'
import { isKey, isObject, readJson } from '../record/evidence/manifest.ts'
import { verifyBundle, type BundleReport } from '../record/evidence/verify-bundle.ts'
import { escapeUnprintable } from '../record/printable.ts'
import { DecisionCheck, type DecisionsReport } from './verify-decisions.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'
import { countOf } from './problems.ts'

const KEY_BYTES_MAX = 1024 * 1024
const TOLD_MAX = 20

/** Checks a bundle and prints what was found. @param keyFile a JWK, a list of them as the control API gives it, or PEM */
export function verifyBundleFile(
  file: string,
  keyFile: string | undefined,
  json: boolean,
  io: CommandIo,
): number {
  const keys = keyFile === undefined ? [] : readKeyFile(keyFile)
  const decisions = new DecisionCheck()
  const report = check(file, keys, decisions)
  const decided = decisions.finish()
  const isOk = report.ok && decided.others.length === 0
  if (json) printJson(io, { ...report, ok: isOk, decisions: decided })
  else printReport(report, decided, isOk, io)
  return isOk ? EXIT_CODES.ok : EXIT_CODES.no
}

function check(
  file: string,
  keys: readonly CheckpointKey[],
  decisions: DecisionCheck,
): BundleReport {
  try {
    return verifyBundle(file, {
      keys,
      onRecord: (record) => decisions.addRecord(record),
      onContext: (record) => decisions.addContext(record),
      onRules: (version, text) => decisions.addRules(version, text),
    })
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${error instanceof Error ? error.message : ''}`, {
      cause: error,
    })
  }
}

function readKeyFile(file: string): CheckpointKey[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8').slice(0, KEY_BYTES_MAX)
  } catch {
    throw new UsageError(`cannot read the key in ${file}`)
  }
  const keys = text.includes('-----BEGIN PUBLIC KEY-----') ? readPem(text) : readJwks(text)
  // A key that calls itself what it is not is none.
  const sound = keys.filter((key) => thumbprint(key) === key.kid)
  if (sound.length === 0) throw new UsageError(`${file} holds no Ed25519 public key, as JWK or PEM`)
  return sound
}

function readPem(text: string): CheckpointKey[] {
  try {
    const { kty, crv, x } = createPublicKey(text).export({ format: 'jwk' })
    if (kty !== 'OKP' || crv !== 'Ed25519' || x === undefined) return []
    return [{ kty, crv, x, kid: thumbprint({ kty, crv, x }) }]
  } catch {
    return []
  }
}

function readJwks(text: string): CheckpointKey[] {
  const value = readJson(text)
  if (isKey(value)) return [value]
  const list: unknown = isObject(value) ? (value['keys'] ?? value['checkpoints']) : value
  return Array.isArray(list) ? list.filter(isKey) : []
}

function printReport(
  report: BundleReport,
  decided: DecisionsReport,
  isOk: boolean,
  io: CommandIo,
): void {
  const paint = paintFor(io)
  const { problems, notes, records, chains, manifest } = report
  for (const { member, line, what } of problems) {
    const place =
      member === '' ? 'bundle' : line === undefined ? member : `${member}:${String(line)}`
    io.out(`${paint.bold(escapeUnprintable(place))}: ${escapeUnprintable(what)}\n`)
  }
  for (const { record, what } of decided.others)
    io.out(`${paint.bold('decisions.ndjson')}: ${escapeUnprintable(`${record}: ${what}`)}\n`)
  for (const note of notes.slice(0, TOLD_MAX))
    io.out(`${paint.yellow('note')}: ${escapeUnprintable(note)}\n`)
  if (notes.length > TOLD_MAX)
    io.out(`and ${String(notes.length - TOLD_MAX)} more: --json has them\n`)
  const sealed = chains.filter(({ isSealed }) => isSealed).length
  const told = `${String(decided.same)} decisions made again and the same, ${String(decided.untold)} that a record does not tell`
  const verdict = isOk
    ? paint.green('intact')
    : paint.red(countOf(problems.length + decided.others.length, 'problem'))
  const about =
    manifest === undefined
      ? ''
      : `: ${countOf(records, 'record')}, ${countOf(chains.length, 'chain')}, ${String(sealed)} sealed, ${told}`
  io.out(`${verdict}${about}\n`)
}
