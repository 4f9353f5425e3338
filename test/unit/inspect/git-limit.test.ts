// The bound on a push's pack, and what the record says of a push.

import * as fc from 'fast-check'
import t from 'tap'

import { describeGit } from '../../../src/inspect/git/fields.ts'
import { limitPack } from '../../../src/inspect/git/limit.ts'
import type { GitCommand } from '../../../src/policy/subject.ts'
import type { Body } from '../../../src/wire/body.ts'
import { BodyQueue } from '../../../src/wire/body-queue.ts'
import { reasonOf } from './git-support.ts'

const SOURCE = { pause: () => undefined, resume: () => undefined, abort: () => undefined }

function fill(bytes: Buffer, pieceBytes: number, length?: number): BodyQueue {
  const queue = new BodyQueue(length, 1e9, SOURCE)
  for (let at = 0; at < bytes.length; at += pieceBytes)
    queue.push(bytes.subarray(at, at + pieceBytes))
  queue.end(['T', 'u'])
  return queue
}

function readAll(body: Body): Buffer {
  const chunks: Uint8Array[] = []
  for (let chunk = body.read(); chunk; chunk = body.read()) chunks.push(chunk)
  return Buffer.concat(chunks)
}

void t.test('a pack within its bound passes untouched, one beyond it breaks off', (t) => {
  fc.assert(
    fc.property(fc.nat(50), fc.nat(100), fc.nat(100), fc.nat(30), (commands, pack, max, piece) => {
      const bytes = Buffer.from(Array.from({ length: commands + pack }, (_, at) => at & 0xff))
      const push = { commandBytes: commands, hasPack: true }
      const limited = limitPack(fill(bytes, piece + 1), push, max)
      const reason = reasonOf(() => {
        if (!readAll(limited).equals(bytes)) throw new Error('other bytes')
      })
      const known = reasonOf(() => limitPack(fill(bytes, 10, bytes.length), push, max))
      const expected = pack > max ? 'body-too-large' : undefined
      return reason === expected && known === expected
    }),
  )
  const limited = limitPack(fill(Buffer.alloc(10), 1), { commandBytes: 4, hasPack: true }, 5)
  t.equal(
    reasonOf(() => readAll(limited)),
    'body-too-large',
  )
  t.equal(
    reasonOf(() => limited.read()),
    'body-too-large',
    'and stays so',
  )
  t.end()
})

void t.test('where no pack is to follow none may', (t) => {
  const push = { commandBytes: 4, hasPack: false }
  const good = limitPack(fill(Buffer.from('0000'), 3), push, 1000)
  t.equal(readAll(good).toString(), '0000')
  t.strictSame(good.trailers, ['T', 'u'])
  t.equal(
    reasonOf(() => readAll(limitPack(fill(Buffer.from('0000P'), 3), push, 1000))),
    'malformed-body',
  )
  t.end()
})

void t.test('a limited body is still waited for and given up as its source is', async (t) => {
  const queue = new BodyQueue(undefined, 100, SOURCE)
  const limited = limitPack(queue, { commandBytes: 0, hasPack: true }, 10)
  t.equal(limited.length, undefined)
  t.equal(limited.read(), undefined)
  const waiting = limited.wait()
  queue.push(Buffer.from('a'))
  await waiting
  t.equal(limited.read()?.length, 1)
  const cause = new Error('gone')
  limited.abort(cause)
  t.throws(() => queue.read(), cause)
})

void t.test('the record says each command, of many the first ones, and long names in part', (t) => {
  const tell = (...commands: GitCommand[]): readonly string[] | undefined =>
    describeGit({ repo: 'acme/widgets', service: 'receive-pack', commands }).content?.git?.commands
  t.strictSame(describeGit({ repo: 'acme/widgets', service: 'upload-pack', commands: [] }), {
    content: { git: { repo: 'acme/widgets', service: 'upload-pack', commands: [] } },
  })
  t.strictSame(
    tell(
      { ref: 'refs/heads/a', change: 'create' },
      { ref: 'refs/heads/b', change: 'update', update: 'fast-forward' },
      { ref: 'refs/heads/c', change: 'update', update: 'unproven' },
      { ref: 'refs/heads/d', change: 'delete' },
    ),
    [
      'create refs/heads/a',
      'update refs/heads/b fast-forward',
      'update refs/heads/c unproven',
      'delete refs/heads/d',
    ],
  )
  t.strictSame(
    describeGit(
      {
        repo: 'acme/widgets',
        service: 'receive-pack',
        commands: [{ ref: 'refs/heads/a', change: 'create' }],
      },
      ['ci.skip', 'x'.repeat(300)],
    ).content?.git?.commands,
    ['create refs/heads/a', 'option ci.skip', `option ${'x'.repeat(256)}…`],
  )
  const many = Array.from({ length: 1000 }, (_, at) => ({
    ref: `refs/heads/${at}`,
    change: 'create' as const,
  }))
  t.equal(tell(...many)?.length, 51)
  t.equal(tell(...many)?.at(-1), '… and 950 more')
  const long = tell({ ref: `refs/heads/${'a'.repeat(1000)}`, change: 'update', update: 'unproven' })
  t.match(long?.[0], /^update refs\/heads\/a{245}… unproven$/)
  t.end()
})
