// One sidecar a journal directory: a lock file that names its holder so exactly that a dead holder, or another program
// that got its process id, does not keep the journal closed. Called by `journal.ts`.

import {
  linkSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import { EgressError } from '../../errors.ts'
import { systemErrorCode } from '../system-error.ts'

/** How often a holder touches its lock. */
const TOUCH_MS = 2000

/** A holder whose process cannot be looked at (another container's) counts as dead after this long without a touch. */
const SILENT_MS = 3 * TOUCH_MS

interface Holder {
  readonly pid: number
  /** Clock ticks since boot at which the process started; empty where the system does not tell. */
  readonly startTime: string
  readonly boot: string
  /** The namespace in which the process id means something. */
  readonly pids: string
}

/** A lock that is held. */
export interface DirectoryLock {
  /** Gives the directory free again. */
  release(): void
}

/**
 * Takes the lock of a journal directory, also from a holder that is dead.
 * @throws audit-unavailable when a living process holds it
 */
export function lockDirectory(dir: string): DirectoryLock {
  const path = join(dir, 'lock')
  const text = JSON.stringify(describeProcess(process.pid))
  // A second round is needed only where another start took a stale lock away between our steps.
  for (let round = 0; round < 3; round++) {
    if (createFile(path, text)) return holdLock(path, text)
    const found = readText(path)
    if (found === undefined) continue
    if (isHeld(path, found)) {
      throw new EgressError('audit-unavailable', {
        journal: dir,
        heldBy: holderOf(found)?.pid ?? 0,
      })
    }
    removeStale(path, found)
  }
  throw new EgressError('audit-unavailable', { journal: dir, heldBy: 'another start' })
}

/** The living process that holds a journal directory; undefined where none does. Takes nothing. */
export function findHolder(dir: string): number | undefined {
  const path = join(dir, 'lock')
  const text = readText(path)
  return text !== undefined && isHeld(path, text) ? (holderOf(text)?.pid ?? 0) : undefined
}

function holdLock(path: string, text: string): DirectoryLock {
  const touch = setInterval(() => {
    try {
      const now = new Date()
      utimesSync(path, now, now)
    } catch {
      // A lost lock file does not stop the journal; the next start would find none and say so.
    }
  }, TOUCH_MS)
  touch.unref()
  return {
    release() {
      clearInterval(touch)
      if (readText(path) === text) rmSync(path, { force: true })
    },
  }
}

function isHeld(path: string, text: string): boolean {
  const holder = holderOf(text)
  if (holder === undefined) return isFresh(path)
  const own = describeProcess(process.pid)
  if (holder.boot !== own.boot) return false
  if (holder.pids !== own.pids) return isFresh(path)
  if (holder.startTime !== '') return describeProcess(holder.pid).startTime === holder.startTime
  return isAlive(holder.pid)
}

/** Process ids of another namespace say nothing here, so only the touches do; a crashed container is waited out. */
function isFresh(path: string): boolean {
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  const first = touchedAt(path)
  for (let waited = 0; waited < SILENT_MS; waited += 100) {
    const touched = touchedAt(path)
    if (touched === undefined || Date.now() - touched > SILENT_MS) return false
    if (touched !== first) return true
    Atomics.wait(sleeper, 0, 0, 100)
  }
  return false
}

function touchedAt(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs
}

/** Renaming is atomic, so of two starts only one takes the stale lock away; a fresh one taken by mistake is put back. */
function removeStale(path: string, text: string): void {
  const aside = `${path}.${String(process.pid)}`
  try {
    renameSync(path, aside)
    if (readText(aside) !== text) linkSync(aside, path)
  } catch {
    // Another start was quicker; the next round sees its lock.
  }
  rmSync(aside, { force: true })
}

function createFile(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o640 })
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false
    throw new EgressError('audit-unavailable', { journal: path }, { cause: error })
  }
}

function holderOf(text: string): Holder | undefined {
  try {
    const value: Partial<Holder> = JSON.parse(text)
    if (typeof value.pid !== 'number') return undefined
    return {
      pid: value.pid,
      startTime: value.startTime ?? '',
      boot: value.boot ?? '',
      pids: value.pids ?? '',
    }
  } catch {
    return undefined
  }
}

function describeProcess(pid: number): Holder {
  // Field 22 of proc(5) stat; the command before it may hold spaces and parentheses.
  const stat = readText(`/proc/${String(pid)}/stat`) ?? ''
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // A zombie holds nothing any more; it only waits for its parent to ask how it ended.
  const isGone = fields[0] === 'Z' || fields[0] === 'X'
  return {
    pid,
    startTime: isGone ? 'gone' : (fields[19] ?? ''),
    boot: (readText('/proc/sys/kernel/random/boot_id') ?? '').trim(),
    pids: readLink('/proc/self/ns/pid'),
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemErrorCode(error) === 'EPERM'
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
