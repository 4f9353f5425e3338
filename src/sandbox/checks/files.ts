// The installation's files: modes of what is secret, how long the CA lives, whether the journal takes records and is whole,
// whether the clock is where it was. Reads, and writes nothing. Called by `outside.ts`.

import { X509Certificate } from 'node:crypto'
import { accessSync, constants, readFileSync, statfsSync, statSync } from 'node:fs'
import path from 'node:path'

import { localSourcesOf } from '../../credentials/source-definition.ts'
import type { Config } from '../../config/config.ts'
import { findHolder } from '../../record/journal/lock.ts'
import { listSegments } from '../../record/journal/segments.ts'
import { verifyDirectory, verifyStream } from '../../record/proof/verify.ts'
import { readLines } from '../../record/read/read-lines.ts'
import { publicFilesIn } from '../../tls/files.ts'
import { reporterFor, type Finding } from '../finding.ts'

const ca = reporterFor('ca')
const state = reporterFor('state')
const journal = reporterFor('journal')
const clock = reporterFor('clock')

const AT_START = 'made at the first start'
const DAY_MS = 86_400_000
const SOON_MS = 3 * DAY_MS
// A journal beyond this is checked in its last segment only.
const QUICK_BYTES_MAX = 64 * 1024 * 1024
const CLOCK_TOLERANCE_MS = 60_000

/** Checks them all. */
export function checkFiles(config: Config): readonly Finding[] {
  return [
    ...checkCertificate(config),
    ...checkUpstreamRoots(config),
    ...checkModes(config),
    ...checkJournal(config),
    checkClock(config),
  ]
}

function checkCertificate({ ca: { dir } }: Config): Finding[] {
  const { certFile } = publicFilesIn(dir)
  if (!isThere(certFile)) return [ca.ok(certFile, `not there yet`, AT_START)]
  const certificate = readCertificate(certFile)
  if (certificate === undefined)
    return [
      ca.fail(
        certFile,
        'is no certificate',
        'the sidecar does not start',
        'restore it, or move it away',
      ),
    ]
  return [
    judgeEnd(
      certFile,
      certificate,
      'it is renewed at a start: start the sidecar again, and clients that read it once',
    ),
  ]
}

function checkUpstreamRoots({ upstream: { caFiles } }: Config): Finding[] {
  return caFiles.map((file) => {
    const certificate = readCertificate(file)
    return certificate === undefined
      ? ca.fail(
          file,
          'holds no certificate',
          'the sidecar does not start',
          'name a PEM file in `upstream.ca`',
        )
      : judgeEnd(file, certificate, 'put its successor into the file')
  })
}

function judgeEnd(file: string, certificate: X509Certificate, mend: string): Finding {
  const end = certificate.validToDate
  const left = end.getTime() - Date.now()
  const until = `valid until ${end.toISOString()}`
  if (left <= 0) return ca.fail(file, `ended ${end.toISOString()}`, 'TLS fails', mend)
  return left < SOON_MS
    ? ca.warn(file, until, 'it ends soon', mend)
    : ca.ok(file, until, 'as it must be')
}

function checkModes({ ca: { keyFile }, stateDir, control, credentials }: Config): Finding[] {
  const files = [
    keyFile,
    ...(control.tokenFile === undefined ? [] : [control.tokenFile]),
    ...credentials
      .flatMap(({ source }) => localSourcesOf(source))
      .flatMap((local) => ('file' in local ? [local.file] : [])),
  ]
  return [...files.map((file) => checkMode(file, 0o600)), checkMode(stateDir, 0o700)]
}

function checkMode(file: string, wanted: number): Finding {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats === undefined) return state.ok(file, 'not there yet', AT_START)
  const mode = stats.mode & 0o777
  const shown = `mode ${mode.toString(8).padStart(4, '0')}`
  const mend = `chmod ${wanted.toString(8).padStart(4, '0')} ${file}`
  if ((mode & 0o077) !== 0) return state.fail(file, shown, 'others can read it', mend)
  return may(file, constants.R_OK)
    ? state.ok(file, shown, 'nobody else reads it')
    : state.fail(file, 'cannot be read', 'the sidecar does not start', 'start as its owner')
}

function checkJournal({ journal: { dir, segmentBytes } }: Config): Finding[] {
  if (!isThere(dir)) {
    const beside = firstExisting(dir)
    return [
      may(beside, constants.W_OK)
        ? journal.ok(dir, 'not there yet', AT_START)
        : journal.fail(
            dir,
            `${beside} cannot be written`,
            'no records, so no calls',
            'start as its owner',
          ),
    ]
  }
  return [
    may(dir, constants.W_OK | constants.R_OK)
      ? journal.ok(dir, 'can be written', 'records are taken')
      : journal.fail(dir, 'cannot be written', 'no records, so no calls', 'start as its owner'),
    checkSpace(dir, segmentBytes),
    checkHolder(dir),
    checkChain(dir),
  ]
}

function checkSpace(dir: string, segmentBytes: number): Finding {
  const { bavail, bsize } = statfsSync(dir)
  const free = bavail * bsize
  const happened = `${Math.floor(free / 1024 / 1024)} MiB are free`
  const mend = 'make room, or let `journal.maxBytes` be smaller'
  if (free < segmentBytes / 8)
    return journal.fail(dir, happened, 'when the disk is full every call is refused', mend)
  return free < 2 * segmentBytes
    ? journal.warn(dir, happened, 'less than two segments', mend)
    : journal.ok(dir, happened, 'enough')
}

function checkHolder(dir: string): Finding {
  const pid = findHolder(dir)
  return pid === undefined
    ? journal.ok(path.join(dir, 'lock'), 'nobody holds it', 'a sidecar may start')
    : journal.ok(
        path.join(dir, 'lock'),
        `process ${pid} holds it`,
        'a sidecar runs; a second one on this journal would not start',
      )
}

function checkChain(dir: string): Finding {
  const segments = listSegments(dir)
  const bytes = segments.reduce((sum, { path: file }) => sum + statSync(file).size, 0)
  const last = segments.at(-1)
  const isWhole = bytes <= QUICK_BYTES_MAX || last === undefined
  const { problems, records } = isWhole
    ? verifyDirectory(dir)
    : verifyStream(readLines(last.path), path.basename(last.path))
  const what = isWhole ? 'the chain' : 'the chain of the last segment'
  const [first] = problems
  return first === undefined
    ? journal.ok(what, `${records} records`, 'nothing was changed')
    : journal.fail(
        what,
        `${first.file}:${first.line}: ${first.what}`,
        'records were changed',
        'see `sallyport verify`',
      )
}

/** The newest record is not from the future: tasks would end too late. */
function checkClock({ journal: { dir }, stateDir }: Config): Finding {
  const newest = isThere(dir) ? (listSegments(dir).at(-1)?.path ?? stateDir) : stateDir
  const seenMs = statSync(newest, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const now = new Date().toISOString()
  return seenMs - Date.now() > CLOCK_TOLERANCE_MS
    ? clock.fail(
        `the clock says ${now}`,
        `${newest} is younger`,
        'it was turned back',
        'set it right',
      )
    : clock.ok(`the clock says ${now}`, 'nothing here is younger', 'as it must be')
}

function readCertificate(file: string): X509Certificate | undefined {
  try {
    return new X509Certificate(readFileSync(file))
  } catch {
    return undefined
  }
}

function firstExisting(place: string): string {
  let at = place
  while (!isThere(at) && path.dirname(at) !== at) at = path.dirname(at)
  return at
}

function isThere(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined
}

function may(file: string, mode: number): boolean {
  try {
    accessSync(file, mode)
    return true
  } catch {
    return false
  }
}
