// Proves that a batch that is told anew lets calls have their turn, and stays in order.

import t from 'tap'

import { makeInTurns } from '../../../../src/record/sinks/turns.ts'

void t.test(
  'R54: a batch is told anew in pieces, in order, and others have turns between',
  async (t) => {
    const records = Array.from({ length: 500 }, (_, seq) => ({
      line: Buffer.alloc(2000),
      seq,
      id: String(seq),
    }))
    let inTurn = 0
    let longest = 0
    const timer = setInterval(() => (inTurn = 0), 0)
    const turns: NodeJS.Immediate[] = []
    const count = (): void => {
      inTurn = 0
      turns.push(setImmediate(count))
    }
    count()
    const made = await makeInTurns(records, ({ seq }) => {
      inTurn += 1
      longest = Math.max(longest, inTurn)
      return seq
    })
    clearInterval(timer)
    turns.forEach(clearImmediate)
    t.strictSame(
      made,
      records.map(({ seq }) => seq),
    )
    t.ok(longest <= 50, `${longest} records in one turn`)
    t.strictSame(await makeInTurns([], () => 1), [])
  },
)
