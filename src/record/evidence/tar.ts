// The file of a bundle: a plain ustar archive of regular files, written so that the same members make the same bytes, and read
// so that a hostile one does no harm: nothing is unpacked, every name, size and place is checked. Called by `write-bundle.ts`
// and `verify-bundle.ts`. @see POSIX.1-2017, pax, section "ustar Interchange Format"

import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'

/** A member to be written: its bytes, or the file that holds them. */
export interface TarMember {
  readonly name: string
  readonly content: Buffer | { readonly file: string; readonly bytes: number }
}

/** A member as it stands in an archive. */
export interface TarEntry {
  readonly name: string
  /** Bytes from the beginning of the archive. */
  readonly offset: number
  readonly bytes: number
}

const BLOCK = 512
const PIECE_BYTES = 1024 * 1024
const ENTRIES_MAX = 10_000
const NAME = /^(?!.*\/\/)[A-Za-z0-9_][A-Za-z0-9_./-]{0,98}$/
/** The largest size that its field can say in octal digits. */
const BYTES_MAX = 8 ** 11 - 1

/**
 * Writes an archive through a descriptor.
 * @param time of all members, epoch milliseconds
 * @throws the system's error, or Error where a file is not as long as it was
 */
export function writeTar(fd: number, members: readonly TarMember[], time: number): void {
  for (const { name, content } of members) {
    const bytes = Buffer.isBuffer(content) ? content.length : content.bytes
    writeAll(fd, header(name, bytes, time))
    if (Buffer.isBuffer(content)) writeAll(fd, content)
    else copyFile(fd, content.file, content.bytes)
    writeAll(fd, Buffer.alloc(padding(bytes)))
  }
  writeAll(fd, Buffer.alloc(2 * BLOCK))
}

function copyFile(fd: number, file: string, bytes: number): void {
  const source = openSync(file, 'r')
  try {
    let copied = 0
    for (const piece of pieces(source, 0, bytes)) {
      writeAll(fd, piece)
      copied += piece.length
    }
    if (copied !== bytes) throw new Error(`${file} became shorter while it was copied`)
  } finally {
    closeSync(source)
  }
}

function header(name: string, bytes: number, time: number): Buffer {
  if (!NAME.test(name) || bytes > BYTES_MAX) throw new Error(`${name} does not fit into an archive`)
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, offset: number, length: number): void => {
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1')
  }
  block.write(name, 0, 'latin1')
  octal(0o644, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(bytes, 124, 12)
  octal(Math.max(0, Math.floor(time / 1000)), 136, 12)
  block.write('0', 156, 'latin1')
  block.write('ustar\u000000', 257, 'latin1')
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

// The checksum's own field counts as spaces.
function checksum(block: Buffer): number {
  let sum = 0
  for (const [at, byte] of block.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte
  return sum
}

function padding(bytes: number): number {
  return (BLOCK - (bytes % BLOCK)) % BLOCK
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length;)
    written += writeSync(fd, bytes, written, bytes.length - written)
}

/**
 * Reads what an archive holds, in order.
 * @throws Error saying what is wrong, and at which byte
 */
export function readTarEntries(fd: number): TarEntry[] {
  const size = fstatSync(fd).size
  const entries: TarEntry[] = []
  const names = new Set<string>()
  let offset = 0
  for (;;) {
    const block = Buffer.alloc(BLOCK)
    if (readSync(fd, block, 0, BLOCK, offset) !== BLOCK)
      throw wrong('the archive ends early', offset)
    if (block.every((byte) => byte === 0)) break
    const entry = readHeader(block, offset)
    if (entry.offset + entry.bytes > size) throw wrong(`${entry.name} is cut off`, offset)
    if (names.has(entry.name)) throw wrong(`${entry.name} is there twice`, offset)
    if (entries.length >= ENTRIES_MAX) throw wrong('there are too many members', offset)
    names.add(entry.name)
    entries.push(entry)
    offset = entry.offset + entry.bytes + padding(entry.bytes)
  }
  for (const piece of pieces(fd, offset, size - offset))
    if (piece.some((byte) => byte !== 0)) throw wrong('something stands behind the end', offset)
  return entries
}

function readHeader(block: Buffer, offset: number): TarEntry {
  if (block.toString('latin1', 257, 262) !== 'ustar') throw wrong('no header of a member', offset)
  if (octalAt(block, 148, 8) !== checksum(block)) throw wrong('a header is damaged', offset)
  const name = block.toString('latin1', 0, 100).replace(/\0.*$/s, '')
  const segments = name.split('/')
  if (!NAME.test(name) || segments.includes('..') || segments.includes('.'))
    throw wrong('a member has a name that no bundle has', offset)
  if (block.toString('latin1', 156, 157) !== '0' || block[345] !== 0)
    throw wrong(`${name} is no plain file`, offset)
  const bytes = octalAt(block, 124, 12)
  if (bytes === undefined) throw wrong(`${name} has no size`, offset)
  return { name, bytes, offset: offset + BLOCK }
}

function octalAt(block: Buffer, at: number, length: number): number | undefined {
  const [, digits] = /^([0-7]{1,11})[\0 ]/.exec(block.toString('latin1', at, at + length)) ?? []
  return digits === undefined ? undefined : Number.parseInt(digits, 8)
}

function wrong(what: string, offset: number): Error {
  return new Error(`${what} (byte ${String(offset)})`)
}

/** The bytes of a stretch of a file, piece by piece; fewer where the file ends. */
export function* pieces(fd: number, offset: number, bytes: number): Generator<Buffer> {
  for (let read = 0; read < bytes;) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, bytes - read))
    const got = readSync(fd, piece, 0, piece.length, offset + read)
    if (got === 0) return
    read += got
    yield piece.subarray(0, got)
  }
}

/** The lines of a stretch of a file, without their newlines; the last may have none. @throws Error where one is too long */
export function* linesIn(
  fd: number,
  { offset, bytes }: Omit<TarEntry, 'name'>,
  lineBytesMax: number,
): Generator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for (const piece of pieces(fd, offset, bytes)) {
    const joined = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    let start = 0
    for (let end = joined.indexOf(0x0a); end >= 0; end = joined.indexOf(0x0a, start)) {
      yield joined.subarray(start, end)
      start = end + 1
    }
    rest = joined.subarray(start)
    if (rest.length > lineBytesMax) throw new Error('a line is longer than any record')
  }
  if (rest.length > 0) yield rest
}
