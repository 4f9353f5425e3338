// Proves how many names a tree of tasks may have resolved for the first time within a minute.

import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { NewNames } from '../../../src/ledger/new-names.ts'
import { SteppedClock } from './quota-support.ts'

interface Counted {
  readonly clock: SteppedClock
  readonly names: NewNames
  /** `ok`, or how many seconds there are to wait. */
  readonly ask: (host: string, rootId?: string, isWritten?: boolean) => string
}

function count(newNamesPerMinute: number): Counted {
  const clock = new SteppedClock()
  const names = new NewNames({ limits: { newNamesPerMinute }, now: () => clock.monotonic() })
  const ask = (host: string, rootId = 't_1', isWritten = false): string => {
    try {
      names.admit({ rootId, host, isWritten: () => isWritten })
      return 'ok'
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      const { reason, wait, detail } = error
      return `${reason} ${wait} ${detail['limit']} ${detail['max']}`
    }
  }
  return { clock, names, ask }
}

void t.test('newNamesPerMinute: beyond it a new name waits, a known one does not', (t) => {
  const { ask, clock } = count(3)
  t.strictSame(
    ['a', 'b', 'b', 'a'].map((host) => ask(host)),
    ['ok', 'ok', 'ok', 'ok'],
  )
  clock.pass(10_000)
  t.equal(ask('c'), 'ok')
  t.equal(ask('d'), 'quota-exceeded 51 newNamesPerMinute 3')
  t.equal(ask('d'), 'quota-exceeded 51 newNamesPerMinute 3', 'to ask costs nothing')
  t.equal(ask('a'), 'ok')
  t.equal(ask('d', 't_2'), 'ok', 'another tree')
  t.equal(ask('written', 't_1', true), 'ok')
  clock.pass(51_000)
  t.equal(ask('d'), 'ok')
  t.equal(ask('e'), 'ok')
  t.match(ask('f'), /^quota-exceeded/)
  t.end()
})

void t.test('what is known ends with the root of the tree, and has an end before', (t) => {
  const { ask, names, clock } = count(1_000_000)
  for (let at = 0; at < 2500; at += 1) ask(`n${at}`)
  t.equal(names.forget('t_1'), 2000)
  t.equal(names.forget('t_1'), 0)
  t.equal(names.forget('t_9'), 0)
  clock.pass(1)
  t.equal(ask('n0'), 'ok')
  t.equal(names.forget('t_1'), 1)
  t.end()
})
