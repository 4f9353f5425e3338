// Proves that the search for bad records in a batch finds those and no others, loses none, and gives up none where the fault
// may be the receiver's.

import * as fc from 'fast-check'
import t from 'tap'

import type { Delivery, SinkRecord } from '../../../../src/record/sinks/delivery.ts'
import { isolating, type Unfit } from '../../../../src/record/sinks/isolate.ts'
import { idsOf, never } from './receivers.ts'

const batch = (count: number): SinkRecord[] =>
  Array.from({ length: count }, (_, at) => ({
    line: Buffer.from('{}'),
    seq: at + 1,
    id: `R${at}`,
  }))

void t.test(
  'every record ends up taken, refused or left, and the bad ones alone refused',
  async (t) => {
    const scenario = fc.record({
      count: fc.integer({ min: 1, max: 60 }),
      bad: fc.uniqueArray(fc.nat({ max: 59 }), { maxLength: 6 }),
      hints: fc.array(fc.option(fc.integer({ min: -2, max: 70 }), { nil: undefined }), {
        minLength: 1,
      }),
      failsAt: fc.option(fc.nat({ max: 20 }), { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(scenario, async ({ count, bad, hints, failsAt }) => {
        const records = batch(count)
        const isBad = ({ seq }: SinkRecord): boolean => bad.includes(seq - 1)
        const taken: SinkRecord[] = []
        let attempts = 0
        const deliver = isolating(async (piece): Promise<Delivery | Unfit> => {
          attempts += 1
          if (attempts - 1 === failsAt) {
            if (attempts % 2 === 0) throw new Error('reset')
            return { outcome: 'later', afterMs: 5 }
          }
          if (piece.some(isBad)) {
            const at = hints[attempts % hints.length]
            return { outcome: 'unfit', detail: 'bad', ...(at !== undefined && { at }) }
          }
          taken.push(...piece)
          return { outcome: 'taken' }
        })
        const delivery = await deliver(records, never).catch((): Delivery => ({ outcome: 'later' }))
        const refused = idsOf(delivery, 'refused') ?? []
        const left = idsOf(delivery, 'left') ?? []
        const takenIds = taken.map(({ id }) => id)
        t.ok(attempts <= 64)
        t.strictSame(takenIds, [...new Set(takenIds)], 'none is sent twice in one go')
        t.ok(
          taken.every((record, at) => (taken[at - 1]?.seq ?? 0) < record.seq),
          'in order',
        )
        const badIds = new Set(records.filter(isBad).map(({ id }) => id))
        t.ok(
          refused.every((id) => badIds.has(id)),
          'no good one is refused',
        )
        if (delivery.outcome === 'taken')
          t.strictSame(new Set([...takenIds, ...refused]), new Set(records.map(({ id }) => id)))
        else if (delivery.outcome === 'later' && left.length > 0)
          t.strictSame(
            new Set([...takenIds, ...refused, ...left]),
            new Set(records.map(({ id }) => id)),
          )
        else t.equal(taken.length, 0, 'all is sent again only where none was taken')
      }),
      { numRuns: 300 },
    )
    t.passing()
  },
)

void t.test('a batch of bad ones alone is bounded work, and given up by nobody', async (t) => {
  let attempts = 0
  const deliver = isolating(() => {
    attempts += 1
    return Promise.resolve({ outcome: 'unfit', detail: 'bad' })
  })
  t.strictSame(await deliver(batch(500), never), { outcome: 'refused', detail: 'bad' })
  t.equal(attempts, 64)
})

void t.test('where all are bad, one that was taken before shows whether it is them', async (t) => {
  const good = batch(1)[0]!
  let takes = true
  const sent: string[] = []
  const deliver = isolating((piece) => {
    sent.push(piece.map(({ id }) => id).join())
    const isTaken = takes && piece.every(({ id }) => id === good.id)
    return Promise.resolve(isTaken ? { outcome: 'taken' } : { outcome: 'unfit', detail: 'bad' })
  })
  const bad = { ...good, seq: 2, id: 'BAD' }
  t.match(await deliver([bad], never), { outcome: 'refused' })
  t.strictSame(await deliver([good], never), { outcome: 'taken' })
  t.strictSame(await deliver([bad], never), {
    outcome: 'taken',
    refused: [{ id: 'BAD', seq: 2, detail: 'bad' }],
  })
  takes = false
  t.match(await deliver([bad], never), { outcome: 'refused' }, 'the receiver takes none any more')
  t.strictSame(sent, ['BAD', 'R0', 'BAD', 'R0', 'BAD', 'R0'])
  takes = true
  const flood = batch(500).map((record) => ({ ...record, id: `B${record.seq}` }))
  const delivery = await deliver(flood, never)
  t.equal(delivery.outcome, 'later', 'and a flood of bad ones goes on, piece by piece')
  const refused = idsOf(delivery, 'refused') ?? []
  t.ok(refused.length > 20)
  t.equal(idsOf(delivery, 'left')?.length, 500 - refused.length)
})

void t.test('what a receiver does not name is counted over all pieces', async (t) => {
  const deliver = isolating((piece) =>
    Promise.resolve(
      piece.length > 5
        ? { outcome: 'unfit', detail: 'bad' }
        : { outcome: 'taken', refusedCount: 1, detail: 'one of them' },
    ),
  )
  t.strictSame(await deliver(batch(10), never), {
    outcome: 'taken',
    refusedCount: 2,
    detail: 'one of them',
  })
})

void t.test('what is too large as a whole is the business of whoever makes batches', async (t) => {
  const always = isolating(() => Promise.resolve({ outcome: 'smaller' }))
  t.strictSame(await always(batch(10), never), { outcome: 'smaller' })
  t.strictSame(await always(batch(1), never), { outcome: 'smaller' })
  const later = isolating((piece) => {
    if (piece.length > 5) return Promise.resolve({ outcome: 'unfit', detail: 'bad', at: 3 })
    if (piece.length > 1) return Promise.resolve({ outcome: 'taken' })
    return Promise.resolve({ outcome: 'smaller' })
  })
  t.strictSame(await later(batch(6), never), {
    outcome: 'taken',
    refused: [{ id: 'R3', seq: 4, detail: 'too large' }],
  })
})
