// What a pack shows of an update, with packs made by hand: honest ones in every order, and hostile ones, which show nothing
// and cost no more than their bounds.

import { randomBytes } from 'node:crypto'
import { deflateSync } from 'node:zlib'

import * as fc from 'fast-check'
import t from 'tap'

import type { PushBounds } from '../../../src/inspect/git/bounds.ts'
import { applyDelta, readResultSize } from '../../../src/inspect/git/delta.ts'
import { inflateEntry } from '../../../src/inspect/git/pack-entry.ts'
import {
  formatLines,
  makeCommit,
  makeDelta,
  makeEntry,
  makePack,
  nameCommit,
  readPush,
  varint,
} from './git-support.ts'

const OLD = 'e'.repeat(40)
const ROOT = makeCommit([OLD], 'first')
const TIP = makeCommit([ROOT.id], 'second')
const COMMIT = 1
const TREE = 2
const BLOB = 3
const TAG = 4
const OFFSET = 6
const REFERENCE = 7

interface Ask {
  readonly before?: string
  readonly after?: string
  readonly shallow?: readonly string[]
  readonly pieceBytes?: number
  readonly bounds?: Partial<PushBounds>
}

// What is shown of the one update of a push with this pack.
function ask(pack: Buffer, more: Ask = {}): string | undefined {
  const { before = OLD, after = TIP.id, shallow = [] } = more
  const lines = formatLines(
    ...shallow.map((id) => `shallow ${id}`),
    `${before} ${after} refs/heads/x\0 report-status`,
  )
  const body = Buffer.concat([lines, pack])
  return readPush(body, more.pieceBytes, more.bounds).subject.commands[0]?.update
}

const commit = ({ content }: { content: Buffer }): Buffer => makeEntry(COMMIT, content)

void t.test('a way from the new commit to the old one shows a fast-forward, in any order', (t) => {
  const noise = [
    makeEntry(BLOB, randomBytes(5000)),
    makeEntry(TREE, Buffer.alloc(0)),
    makeEntry(TAG, Buffer.from('x')),
  ]
  const orders = [
    [commit(TIP), commit(ROOT)],
    [commit(ROOT), commit(TIP)],
    [...noise, commit(TIP), ...noise, commit(ROOT)],
  ]
  for (const entries of orders)
    for (const pieceBytes of [1, 2, 100, 1e9])
      t.equal(ask(makePack(entries), { pieceBytes }), 'fast-forward')
  const third = makePack(orders[0]!)
  third.writeUInt32BE(3, 4)
  t.equal(ask(third), 'fast-forward', 'also in version 3')
  t.end()
})

void t.test('without a way nothing is shown', (t) => {
  t.equal(ask(makePack([])), 'unproven')
  t.equal(ask(makePack([commit(TIP)])), 'unproven')
  t.equal(ask(makePack([commit(ROOT)])), 'unproven')
  t.equal(ask(makePack([commit(ROOT), commit(TIP)]), { before: 'd'.repeat(40) }), 'unproven')
  t.equal(
    ask(makePack([commit(ROOT), commit(TIP)]), { after: ROOT.id, before: TIP.id }),
    'unproven',
  )
  t.equal(ask(Buffer.alloc(0)), 'unproven')
  t.equal(ask(Buffer.from('PUCK'.repeat(20))), 'unproven')
  t.end()
})

void t.test('merges are walked by every parent, each commit once', (t) => {
  let layer = [OLD]
  const entries: Buffer[] = []
  // Two to the power of two hundred ways.
  for (let at = 0; at < 200; at += 1) {
    const made = [makeCommit(layer, `${at} left`), makeCommit(layer, `${at} right`)]
    entries.unshift(...made.map(commit))
    layer = made.map(({ id }) => id)
  }
  t.equal(ask(makePack(entries), { after: layer[1]! }), 'fast-forward')
  t.equal(ask(makePack(entries), { after: layer[1]!, before: 'd'.repeat(40) }), 'unproven')
  t.equal(ask(makePack(entries), { after: layer[1]!, bounds: { stepsMax: 100 } }), 'unproven')
  t.end()
})

void t.test('a commit of many parents costs as many steps', (t) => {
  const others = Array.from({ length: 1000 }, (_, at) => at.toString(16).padStart(40, '0'))
  const wide = makeCommit([...others, OLD])
  const pack = makePack([commit(wide)])
  t.equal(ask(pack, { after: wide.id }), 'fast-forward')
  t.equal(ask(pack, { after: wide.id, bounds: { stepsMax: 500 } }), 'unproven')
  t.end()
})

void t.test('only what stands where parents stand is one', (t) => {
  const text = ROOT.content.toString()
  const other = 'c'.repeat(40)
  const forms = {
    'in the message': makeCommit([other], `x\n\nparent ${OLD}`).content.toString(),
    'behind the author': text.replace(/(parent .*\n)(author .*\n)/, '$2$1'),
    'in front of the tree': text.replace(/(tree .*\n)(parent .*\n)/, '$2$1'),
    'behind another line': text.replace('parent ', 'x y\nparent '),
    'cut short': text.replace(OLD, OLD.slice(1)),
    'too long': text.replace(OLD, `${OLD}e`),
    'in upper case': text.replace(OLD, OLD.toUpperCase()),
    'behind a blank': text.replace('parent ', ' parent '),
    'with a return': text.replace(OLD, `${OLD}\r`),
    'with a tree that is cut short': text.replace('a'.repeat(40), 'a'.repeat(39)),
  }
  for (const [what, form] of Object.entries(forms)) {
    const id = nameCommit(Buffer.from(form))
    t.equal(ask(makePack([makeEntry(COMMIT, Buffer.from(form))]), { after: id }), 'unproven', what)
  }
  t.equal(ask(makePack([makeEntry(COMMIT, Buffer.from(text))]), { after: ROOT.id }), 'fast-forward')
  for (const type of [TREE, BLOB, TAG] as const)
    t.equal(ask(makePack([makeEntry(type, ROOT.content)]), { after: ROOT.id }), 'unproven')
  t.end()
})

void t.test('a commit that is said to be shallow leads nowhere', (t) => {
  const pack = makePack([commit(ROOT), commit(TIP)])
  t.equal(ask(pack, { shallow: [OLD] }), 'fast-forward')
  t.equal(ask(pack, { shallow: [ROOT.id] }), 'unproven')
  t.equal(ask(pack, { shallow: [TIP.id] }), 'unproven')
  t.end()
})

void t.test('commits that are deltas of others are found, however long the chain', (t) => {
  const commits = [ROOT]
  for (let at = 1; at < 3000; at += 1) commits.push(makeCommit([commits.at(-1)!.id], `${at}`))
  const last = commits.at(-1)!
  const delta = (at: number): Buffer => makeDelta(commits[at - 1]!.content, commits[at]!.content)
  const forward: Buffer[] = [commit(ROOT)]
  const byName: Buffer[] = [commit(ROOT)]
  for (let at = 1; at < commits.length; at += 1) {
    forward.push(makeEntry(OFFSET, delta(at), { base: forward[at - 1]!.length }))
    byName.push(makeEntry(REFERENCE, delta(at), { base: commits[at - 1]!.id }))
  }
  t.equal(ask(makePack(forward), { after: last.id }), 'fast-forward')
  t.equal(ask(makePack(byName), { after: last.id }), 'fast-forward')
  t.equal(
    ask(makePack(byName.toReversed()), { after: last.id }),
    'fast-forward',
    'bases behind them',
  )
  t.equal(
    ask(makePack(byName.slice(1)), { after: last.id }),
    'unproven',
    'the first base is not there',
  )
  t.end()
})

void t.test('a delta of a delta whose base comes later is found too', (t) => {
  const third = makeCommit([TIP.id], 'third')
  const byName = makeEntry(REFERENCE, makeDelta(ROOT.content, TIP.content), { base: ROOT.id })
  const byOffset = makeEntry(OFFSET, makeDelta(TIP.content, third.content), { base: byName.length })
  t.equal(ask(makePack([byName, byOffset, commit(ROOT)]), { after: third.id }), 'fast-forward')
  t.equal(ask(makePack([byName, byOffset]), { after: third.id }), 'unproven')
  t.end()
})

void t.test('deltas that go in circles or nowhere show nothing', (t) => {
  const delta = makeDelta(ROOT.content, TIP.content)
  const circles = [
    makePack([makeEntry(REFERENCE, delta, { base: TIP.id })]),
    makePack([
      makeEntry(REFERENCE, delta, { base: ROOT.id }),
      makeEntry(REFERENCE, makeDelta(TIP.content, ROOT.content), { base: TIP.id }),
    ]),
    makePack([makeEntry(OFFSET, delta, { base: 0 })]),
    makePack([makeEntry(OFFSET, delta, { base: 1 })]),
    makePack([makeEntry(OFFSET, delta, { base: 12 })]),
    makePack([commit(ROOT), makeEntry(OFFSET, delta, { base: 1 })]),
    makePack([commit(ROOT), makeEntry(OFFSET, delta, { base: 100_000 })]),
    makePack([commit(ROOT), makeEntry(OFFSET, delta, { base: 2 ** 30 })]),
  ]
  for (const pack of circles) t.equal(ask(pack), 'unproven')
  const good = makePack([commit(ROOT), makeEntry(OFFSET, delta, { base: commit(ROOT).length })])
  t.equal(ask(good), 'fast-forward')
  t.end()
})

void t.test('a length that lies ends the reading', (t) => {
  const zeros = Buffer.alloc(50_000_000)
  const bomb = deflateSync(zeros)
  t.equal(inflateEntry(bomb.subarray(0, 10_000), 10), 'fault', 'known before all of it has come')
  t.equal(inflateEntry(bomb.subarray(0, 10_000), zeros.length), 'more')
  const behind = [commit(ROOT), commit(TIP)]
  const entries = {
    'more than it says': makeEntry(BLOB, zeros, { size: 10, deflated: bomb }),
    'nothing, it says': makeEntry(BLOB, zeros, { size: 0, deflated: bomb }),
    'less than it says': makeEntry(BLOB, Buffer.from('abc'), { size: 4 }),
    'more than is read': makeEntry(BLOB, zeros, { deflated: bomb }),
    'a number beyond all': makeEntry(BLOB, zeros, { size: 2 ** 50, deflated: bomb }),
    'no zlib': makeEntry(BLOB, Buffer.alloc(3), { deflated: Buffer.from('abcdefgh') }),
    'a dictionary': makeEntry(BLOB, Buffer.from('abc'), {
      deflated: deflateSync(Buffer.from('abc'), { dictionary: Buffer.from('abc') }),
    }),
    'type 0': Buffer.from([0x05, 0, 0, 0, 0, 0]),
    'type 5': Buffer.from([0x55, 0, 0, 0, 0, 0]),
    'a size without end': Buffer.alloc(40, 0xff),
    'a distance without end': Buffer.concat([Buffer.of(0x65), Buffer.alloc(40, 0xff)]),
  }
  for (const [what, entry] of Object.entries(entries))
    for (const pieceBytes of [1000, 1e9])
      t.equal(ask(makePack([entry, ...behind]), { pieceBytes }), 'unproven', what)
  const honest = makeEntry(BLOB, zeros.subarray(0, 1_000_000))
  t.equal(ask(makePack([honest, ...behind])), 'fast-forward')
  const empty = makeEntry(BLOB, Buffer.alloc(0))
  t.equal(ask(makePack([empty, ...behind])), 'fast-forward')
  t.equal(ask(makePack(behind, 1)), 'unproven', 'what is beyond the count of objects is not read')
  t.equal(ask(makePack(behind, 2 ** 32 - 1)), 'fast-forward')
  t.end()
})

void t.test('each bound ends the reading, and not before', (t) => {
  const blob = makeEntry(BLOB, randomBytes(1000))
  const pack = makePack([blob, commit(ROOT), commit(TIP)])
  const commitBytes = Math.max(ROOT.content.length, TIP.content.length)
  const inflated = 1000 + ROOT.content.length + TIP.content.length
  const enough: Partial<PushBounds>[] = [
    { packBytesMax: pack.length - 20 },
    { objectsMax: 3 },
    { inflatedBytesMax: inflated },
    { commitBytesMax: commitBytes },
    { stepsMax: 5 },
  ]
  for (const bounds of enough) {
    t.equal(ask(pack, { bounds }), 'fast-forward', JSON.stringify(bounds))
    const [[name, value] = ['', 0]] = Object.entries(bounds)
    t.equal(ask(pack, { bounds: { [name]: Math.floor(value / 2) } }), 'unproven', name)
  }
  t.equal(ask(pack, { bounds: { packBytesMax: pack.length - 21 } }), 'unproven')
  t.equal(ask(pack, { bounds: { commitBytesMax: commitBytes - 1 } }), 'unproven')
  t.equal(ask(pack, { bounds: { inflatedBytesMax: inflated - 1 } }), 'unproven')
  t.end()
})

void t.test('what deltas make counts, also where each of them is small', (t) => {
  const large = makeCommit([OLD], 'x'.repeat(1_000_000))
  const size = large.content.length
  const all = Buffer.concat([
    varint(size),
    varint(size),
    ...Array.from({ length: Math.floor(size / 0xffff) }, (_, at) => copyOf(at * 0xffff, 0xffff)),
    copyOf(Math.floor(size / 0xffff) * 0xffff, size % 0xffff),
  ])
  const deltas = (count: number): Buffer[] =>
    Array.from({ length: count }, () => makeEntry(REFERENCE, all, { base: large.id }))
  const pack = (count: number): Buffer =>
    makePack([makeEntry(COMMIT, large.content), ...deltas(count), commit(ROOT), commit(TIP)])
  t.equal(ask(pack(5)), 'fast-forward')
  t.equal(ask(pack(50)), 'unproven')
  // All of them are made at once when their base comes.
  const late = (count: number): Buffer =>
    makePack([...deltas(count), makeEntry(COMMIT, large.content), commit(ROOT), commit(TIP)])
  t.equal(ask(late(5)), 'fast-forward')
  t.equal(ask(late(2000)), 'unproven')
  t.end()
})

void t.test('a pack that breaks off anywhere shows what it has shown by then', (t) => {
  const pack = makePack([
    commit(ROOT),
    makeEntry(OFFSET, makeDelta(ROOT.content, TIP.content), { base: commit(ROOT).length }),
  ])
  t.equal(ask(pack), 'fast-forward')
  for (let end = 0; end < pack.length - 20; end += 1)
    for (const pieceBytes of [1, 33])
      t.equal(ask(pack.subarray(0, end), { pieceBytes }), 'unproven', `${end}`)
  t.equal(ask(pack.subarray(0, pack.length - 20)), 'fast-forward')
  t.end()
})

void t.test('no bytes behind the commands make the reader fail', (t) => {
  const good = makePack([
    commit(ROOT),
    makeEntry(REFERENCE, makeDelta(ROOT.content, TIP.content), { base: ROOT.id }),
  ])
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(300), (at, byte, pieceBytes) => {
      const pack = Buffer.from(good)
      pack[at] = byte
      const update = ask(pack, { pieceBytes: pieceBytes + 1 })
      return update === 'unproven' || update === 'fast-forward'
    }),
    { numRuns: 3000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const pack = makePack([Buffer.from(bytes)], 5)
      return ask(pack) === 'unproven'
    }),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('a delta makes exactly what it was made of, or nothing', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.uint8Array({ maxLength: 400 }), (a, b) => {
      const [base, result] = [Buffer.from(a), Buffer.from(b)]
      const delta = makeDelta(base, result)
      return (
        readResultSize(delta) === result.length &&
        applyDelta(base, delta)?.equals(result) === true &&
        applyDelta(Buffer.concat([base, Buffer.of(0)]), delta) === undefined &&
        applyDelta(base, Buffer.concat([delta, Buffer.of(0)])) === undefined
      )
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 60 }), (a, b) => {
      const delta = Buffer.from(b)
      const size = readResultSize(delta) ?? 0
      return size > 100_000 || [undefined, size].includes(applyDelta(Buffer.from(a), delta)?.length)
    }),
    { numRuns: 5000 },
  )
  const base = Buffer.alloc(0x10000, 'x')
  const beyond = Buffer.concat([varint(base.length), varint(10), copyOf(base.length - 9, 10)])
  t.equal(applyDelta(base, beyond), undefined, 'a copy from behind the base')
  const within = Buffer.concat([varint(base.length), varint(10), copyOf(base.length - 10, 10)])
  t.equal(applyDelta(base, within)?.toString(), 'x'.repeat(10))
  const whole = Buffer.concat([varint(base.length), varint(base.length), Buffer.of(0x80)])
  t.ok(applyDelta(base, whole)?.equals(base), 'a copy of length zero is a long one')
  t.end()
})

function copyOf(offset: number, length: number): Buffer {
  const bytes = [0xff]
  for (let at = 0; at < 4; at += 1) bytes.push((offset >> (8 * at)) & 0xff)
  for (let at = 0; at < 3; at += 1) bytes.push((length >> (8 * at)) & 0xff)
  return Buffer.from(bytes)
}
