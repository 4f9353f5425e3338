// The file sink: records as NDJSON, appended, on the disk before the cursor moves, whole lines only. The file is opened for
// each batch, so one that was moved away is made anew. Started by `config/`.

import { constants } from 'node:fs'
import { mkdir, open, rename, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

import { systemErrorCode } from '../system-error.ts'
import { joinLines, type Delivery, type SinkRecord } from './delivery.ts'
import { SinkFeed, type FeedOptions } from './feed.ts'

/** How a file sink is fed. */
export interface FileSinkOptions extends FeedOptions {
  /** Absolute. */
  readonly path: string
  /** The file is moved aside before it grows beyond this; undefined: never. */
  readonly rotateBytes?: number | undefined
  /** How many of those that were moved aside are kept, as `PATH.1`, the newest, to `PATH.N`. */
  readonly keep: number
}

const NEWLINE = 0x0a
const TAIL_BYTES = 64 * 1024

/** Starts a file sink. What is written is on the disk before it counts as taken. */
export function startFileSink(options: FileSinkOptions): SinkFeed {
  const { path, rotateBytes = Infinity, keep } = options
  return new SinkFeed(options, (records) => appendRecords(records, { path, rotateBytes, keep }))
}

async function appendRecords(
  records: readonly SinkRecord[],
  { path, rotateBytes, keep }: { readonly path: string; rotateBytes: number; keep: number },
): Promise<Delivery> {
  let left = records
  while (left.length > 0) {
    const room = rotateBytes - (await sizeOf(path))
    const count = countFitting(left, room)
    if (count > 0) await append(path, joinLines(left.slice(0, count)))
    left = left.slice(count)
    if (left.length === 0) break
    const isEmpty = room === rotateBytes && count === 0
    if (isEmpty) {
      // A single record that is larger than a file may be: it has one to itself.
      await append(path, joinLines(left.slice(0, 1)))
      left = left.slice(1)
    } else await rotate(path, keep)
  }
  return { outcome: 'taken' }
}

function countFitting(records: readonly SinkRecord[], room: number): number {
  let bytes = 0
  const count = records.findIndex(({ line }) => (bytes += line.length + 1) > room)
  return count < 0 ? records.length : count
}

async function sizeOf(path: string): Promise<number> {
  try {
    const stats = await stat(path)
    // A pipe or a device would make the sink wait for ever, or lose what it is given.
    if (!stats.isFile()) throw new Error('the path of a file sink is not a regular file')
    return stats.size
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
    await mkdir(dirname(path), { recursive: true, mode: 0o750 })
    return 0
  }
}

/** Appends all bytes and forces them to the disk, or leaves the file as it was. @throws the system's error */
async function append(path: string, bytes: Buffer): Promise<void> {
  const { O_RDWR, O_APPEND, O_CREAT, O_NONBLOCK } = constants
  const file = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK, 0o640)
  try {
    const before = await cutTornLine(file)
    try {
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await file.write(bytes, at, bytes.length - at)
        at += bytesWritten
      }
      await file.datasync()
    } catch (error) {
      // A reader of the file must not meet half a line; where this fails too the next attempt cuts it.
      await file.truncate(before).catch(() => undefined)
      throw error
    }
    if (before === 0) await syncDirectoryOf(path)
  } finally {
    await file.close()
  }
}

/** What a crash left of a line is cut off: its record is delivered again. @returns the size that is left */
async function cutTornLine(file: FileHandle): Promise<number> {
  const { size } = await file.stat()
  const buffer = Buffer.allocUnsafe(Math.min(size, TAIL_BYTES))
  let end = size
  while (end > 0) {
    const length = Math.min(end, TAIL_BYTES)
    const isLast = end === size
    // Nearly always the one byte is a newline, and nothing else is read.
    const wanted = isLast ? 1 : length
    const { bytesRead } = await file.read(buffer, 0, wanted, end - wanted)
    if (bytesRead < wanted) throw new Error('the file became shorter while it was read')
    const newline = buffer.lastIndexOf(NEWLINE, wanted - 1)
    if (newline >= 0 && newline < wanted) {
      const kept = end - wanted + newline + 1
      if (kept < size) await file.truncate(kept)
      return kept
    }
    end -= wanted
  }
  if (size > 0) await file.truncate(0)
  return 0
}

async function rotate(path: string, keep: number): Promise<void> {
  for (let number = keep - 1; number >= 0; number -= 1) {
    const from = number === 0 ? path : `${path}.${number}`
    await rename(from, `${path}.${number + 1}`).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'ENOENT') throw error
    })
  }
  await syncDirectoryOf(path)
}

async function syncDirectoryOf(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
