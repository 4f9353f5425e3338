// Proves the file sink on real files: whole lines, on the disk, over rotation, a move, a torn end and a full disk.

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import type { RecordBody } from '../../../../src/record/body.ts'
import { startFileSink, type FileSinkOptions } from '../../../../src/record/sinks/file.ts'
import type { SinkFeed } from '../../../../src/record/sinks/feed.ts'
import { freshDir, memoryLog, openJournal, until } from '../support.ts'
import { ended } from './scripted.ts'

const parse = (line: string): RecordBody => JSON.parse(line)

function startFile(
  t: Test,
  more: Partial<FileSinkOptions> = {},
): { journal: ReturnType<typeof openJournal>; path: string; start: () => SinkFeed } {
  const dir = freshDir(t)
  const journal = openJournal(join(dir, 'journal'))
  const path = join(dir, 'out', 'records.ndjson')
  const start = (): SinkFeed => {
    const limits = { sinkBatchMax: 500 }
    const feed = { name: 'file', journal, stateDir: dir, limits, log: memoryLog(), now: Date.now }
    return startFileSink({ ...feed, path, keep: 2, ...more })
  }
  return { journal, path, start }
}

function idsIn(...paths: string[]): (string | undefined)[] {
  return paths.flatMap((path) => {
    const text = readFileSync(path, 'utf8')
    t.ok(text === '' || text.endsWith('\n'), 'whole lines only')
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => parse(line).sallyport.call?.id)
  })
}

void t.test(
  'R54: records are in the file once the cursor is past them, and a moved file is made anew',
  async (t) => {
    const { journal, path, start } = startFile(t)
    const sink = start()
    await journal.append(ended('A'))
    await until(() => sink.stats.backlog === 0, 'it is written')
    t.strictSame(idsIn(path), ['A'])
    renameSync(path, `${path}.moved`)
    await journal.append(ended('B'))
    await until(() => sink.stats.backlog === 0, 'it is written')
    t.strictSame(idsIn(`${path}.moved`, path), ['A', 'B'])
    await sink.close()
    await journal.close()
  },
)

void t.test(
  'R54: what a crash tore is cut, whatever its length, and delivered again',
  async (t) => {
    const { journal, path, start } = startFile(t)
    const first = start()
    await journal.append(ended('A'))
    await until(() => first.stats.backlog === 0, 'it is written')
    await first.close()
    const whole = readFileSync(path)
    let call = 0
    for (const torn of ['{', `{"a":"${'x'.repeat(64 * 1024)}`, `{"a":"${'x'.repeat(200_000)}`]) {
      appendFileSync(path, torn)
      const sink = start()
      await journal.append(ended(`B${call}`))
      await until(() => sink.stats.backlog === 0, 'it is written')
      call += 1
      t.equal(idsIn(path).length, call + 1)
      await sink.close()
    }
    t.ok(readFileSync(path).subarray(0, whole.length).equals(whole))
    writeFileSync(path, 'torn and nothing else')
    const last = start()
    await journal.append(ended('C'))
    await until(() => last.stats.backlog === 0, 'it is written')
    t.strictSame(idsIn(path), ['C'])
    await last.close()
    await journal.close()
  },
)

void t.test(
  'a file is moved aside before it grows beyond its size; so many are kept',
  async (t) => {
    const { journal, path, start } = startFile(t, { rotateBytes: 6000 })
    const sink = start()
    for (let call = 0; call < 12; call += 1) await journal.append(ended(`C${call}`))
    const long = { ...ended('LONG'), user_agent: { original: 'u'.repeat(9000) } }
    await journal.append(long)
    await until(() => sink.stats.backlog === 0, 'all is written')
    t.strictSame(idsIn(path), ['LONG'], 'one that is larger has a file to itself')
    for (const kept of [1, 2]) t.ok(readFileSync(`${path}.${kept}`).length <= 6000)
    t.notOk(existsSync(`${path}.3`))
    t.strictSame(idsIn(`${path}.2`, `${path}.1`).at(-1), 'C11')
    await sink.close()
    await journal.close()
  },
)

void t.test(
  'what is no file, or cannot be written, is tried again and loses nothing',
  async (t) => {
    const { journal, path, start } = startFile(t)
    mkdirSync(path, { recursive: true })
    const sink = start()
    await journal.append(ended('A'))
    await until(() => sink.stats.failures >= 1, 'it has failed')
    renameSync(path, `${path}.away`)
    await until(() => sink.stats.backlog === 0, 'it is written')
    t.strictSame(idsIn(path), ['A'])
    await sink.close()
    await journal.close()
  },
)
