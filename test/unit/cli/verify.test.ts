// Proves what `sallyport verify` takes and says: places, anchors, keys.

import { spawnSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { CheckpointKeys } from '../../../src/record/proof/checkpoint-keys.ts'
import { Checkpoints } from '../../../src/record/proof/checkpoints.ts'
import { eventRecord } from '../../../src/record/ecs.ts'
import { freshDir, memoryLog, openJournal, TASK } from '../record/support.ts'
import { run } from './support.ts'

const BIN = path.join(import.meta.dirname, '../../../bin/sallyport.js')

void t.test(
  'R56: verify takes a directory, a file, standard input, a task, anchors and keys',
  async (t) => {
    const root = freshDir(t)
    const dir = path.join(root, 'journal')
    const journal = openJournal(dir)
    const keys = new CheckpointKeys(path.join(root, 'state'), Date.now())
    const options = { journal, keys, limits: DEFAULT_LIMITS, now: Date.now, log: memoryLog() }
    const checkpoints = new Checkpoints(options)
    await journal.append(eventRecord('task-created', { task: TASK, now: Date.now() }))
    const made = await checkpoints.make()
    await checkpoints.makeOf(TASK)
    await checkpoints.close()
    await journal.close()
    const [segment = ''] = readdirSync(dir).filter((name) => name.endsWith('.ndjson'))
    const stream = path.join(dir, segment)
    const file = (name: string, text: string): string => {
      writeFileSync(path.join(root, name), text)
      return path.join(root, name)
    }
    const anchor = file('anchor.json', JSON.stringify({ checkpoint: made }))
    const [key] = keys.shown
    const { kty = 'OKP', crv = '', x = '' } = key ?? {}
    const pem = createPublicKey({ key: { kty, crv, x }, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    })
    const keyFiles = [
      file('jwk.json', JSON.stringify({ kty, crv, x })),
      file('jwks.json', JSON.stringify({ keys: keys.shown })),
      file('answer.json', JSON.stringify(checkpoints.view)),
      file('detail.json', JSON.stringify(keys.announcements[0])),
      file('key.pem', pem.toString()),
    ]
    for (const place of [dir, stream])
      for (const keyFile of keyFiles)
        t.match(await run(['verify', place, '--key', keyFile, '--anchor', anchor]), {
          code: 0,
          out: /^intact: 5 records from 1, head 5 sha256:.*\n3 checkpoints signed by keys that --key vouches for\nanchored: nothing up to record 2 is gone or changed; the 3 records behind it could have been more\n$/,
        })
    t.match(await run(['verify', dir]), {
      code: 0,
      out: /3 checkpoints signed by keys that the records name themselves\ntail-unanchored: the last checkpoint covers record 4; without --anchor nobody can tell/,
    })
    t.match(await run(['verify', dir, '--task', TASK.id]), {
      code: 0,
      out: /^intact: 2 records of t_\w+ from 1, head 2 sha256:\w+, not sealed\n1 checkpoint signed .*\ntail-unanchored: the last checkpoint covers record 1;/,
    })
    const lines = readFileSync(stream, 'utf8').split('\n').slice(0, -1)
    const repeated = file(
      'repeated.ndjson',
      [...lines.slice(0, 3), ...lines].map((line) => `${line}\n`).join(''),
    )
    t.match(await run(['verify', repeated]), { code: 0, out: /^3 records came again/ })
    const filtered = file(
      'filtered.ndjson',
      lines
        .toSpliced(2, 1)
        .map((line) => `${line}\n`)
        .join(''),
    )
    t.match(await run(['verify', filtered, '--anchor', anchor]), {
      code: 0,
      out: /^left out: 1 record in 1 gap, of which nothing is said\nintact: .*\n.*\ntail-unanchored: .*; not all up to the anchor is here\n$/,
    })
    t.match(await run(['verify', dir, '--anchor', `9:${'0'.repeat(64)}`]), {
      code: 1,
      out: /truncated: records 6 to 9 are gone\n1 problem: 5 records/,
    })
    for (const [words, err] of [
      [['--anchor', 'none.json'], /neither a file with a checkpoint nor SEQ:HASH/],
      [['--key', 'none.json'], /--key: there is no none.json/],
      [['--key', anchor], /there is no Ed25519 key in it/],
      [['--key', file('broken.pem', '-----BEGIN PUBLIC KEY-----\n')], /there is no Ed25519 key/],
      [['--task', 't_none'], /there is no record of t_none/],
      [['--task', TASK.id, '--anchor', anchor], /that is no checkpoint of t_/],
    ] as const)
      t.match(await run(['verify', dir, ...words]), { code: 2, err })
    const piped = spawnSync(process.execPath, [BIN, 'verify', '-', '--anchor', anchor], {
      input: readFileSync(stream),
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '' },
    })
    t.match(piped.stdout, /^intact: 5 records from 1/)
    t.equal(piped.status, 0)
  },
)

void t.test('what cannot be read is not told as tampered with', async (t) => {
  const root = freshDir(t)
  const dir = path.join(root, 'journal')
  mkdirSync(path.join(dir, '0000000001.ndjson'), { recursive: true })
  for (const words of [
    [dir],
    [dir, '--task', 't_a'],
    [root, '--key', root],
    [root, '--anchor', root],
  ])
    t.match(await run(['verify', ...words]), { code: 2, out: '', err: /^sallyport: EISDIR: .*\n$/ })
  t.match(await run(['verify', path.join(root, 'none')]), { code: 2, err: /there is no directory/ })
})
