// Proves that the text of a rule file can be read by its digest as long as a record may name it, and no longer.

import { readdirSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'

import { digestOf, KeptRules, keptRulesDir, readKeptRules } from '../../../src/config/kept-rules.ts'

const DAY_MS = 86_400_000

interface Fixture {
  readonly stateDir: string
  readonly journalDir: string
  readonly kept: KeptRules
  readonly problems: unknown[]
  at: number
  pins: ReadonlySet<string> | undefined
}

function open(t: Test): Fixture {
  const dir = t.testdir({ state: {}, journal: {} })
  const problems: unknown[] = []
  const fixture = { stateDir: path.join(dir, 'state'), journalDir: path.join(dir, 'journal') }
  const opened: Fixture = {
    ...fixture,
    problems,
    at: Date.UTC(2026, 0, 1),
    pins: new Set(),
    kept: new KeptRules({
      stateDir: fixture.stateDir,
      journal: { dir: fixture.journalDir, retainMs: 30 * DAY_MS },
      bytesMax: 250_000,
      now: () => opened.at,
      pins: () => opened.pins,
      onProblem: (error) => problems.push(error),
    }),
  }
  t.teardown(() => opened.kept.close())
  return opened
}

const textsOf = (...texts: readonly string[]): Map<string, string> =>
  new Map(texts.map((text) => [digestOf(text), text]))
const names = ({ stateDir }: Fixture): string[] => readdirSync(keptRulesDir(stateDir))

void t.test('what was in force is there by its digest, also after it was changed', (t) => {
  const fixture = open(t)
  fixture.kept.keep(textsOf('one', 'two'))
  fixture.kept.keep(textsOf('two', 'three'))
  for (const text of ['one', 'two', 'three'])
    t.equal(readKeptRules(fixture.stateDir, digestOf(text)), text)
  t.equal(readKeptRules(fixture.stateDir, digestOf('four')), undefined)
  t.equal(readKeptRules(fixture.stateDir, 'sha256:../../x'), undefined)
  t.equal(readKeptRules(fixture.stateDir, '../receipt.key'), undefined)
  t.strictSame(fixture.problems, [])
  t.end()
})

void t.test('where no rules were ever in force there is nothing to clear away', (t) => {
  const { kept, problems } = open(t)
  kept.refresh()
  kept.close()
  t.strictSame(problems, [])
  t.end()
})

void t.test('a text that somebody has edited is none', (t) => {
  const { kept, stateDir } = open(t)
  kept.keep(textsOf('one'))
  const file = path.join(keptRulesDir(stateDir), `${digestOf('one').slice(7)}.yaml`)
  writeFileSync(file, 'two')
  t.equal(readKeptRules(stateDir, digestOf('one')), undefined)
  writeFileSync(file, 'longer')
  kept.keep(textsOf('one'))
  t.equal(readKeptRules(stateDir, digestOf('one')), 'one', 'a torn one is written again')
  t.end()
})

void t.test('it goes once no record that is kept can name it, and not while one can', (t) => {
  const fixture = open(t)
  const { kept, journalDir } = fixture
  const segment = path.join(journalDir, '0000000001.ndjson')
  kept.keep(textsOf('one'))
  fixture.at += DAY_MS
  kept.keep(textsOf('two'))
  fixture.at += 36 * DAY_MS
  kept.refresh()
  t.equal(names(fixture).length, 2, 'it was in force a week and `retain` ago')
  fixture.at += 2 * DAY_MS
  writeFileSync(segment, `{"@timestamp":"2026-01-01T12:00:00.000Z","ecs":{}}\n`)
  kept.refresh()
  t.equal(names(fixture).length, 2, 'a sink has yet to read a record that may name it')
  writeFileSync(segment, 'what is this\n')
  kept.refresh()
  t.equal(names(fixture).length, 2, 'nobody knows how old the records are')
  writeFileSync(segment, `{"@timestamp":"2026-01-30T12:00:00.000Z","ecs":{}}\n`)
  kept.refresh()
  t.strictSame(names(fixture), [`${digestOf('two').slice(7)}.yaml`], 'what is in force stays')
  fixture.at += 1000 * DAY_MS
  writeFileSync(segment, '')
  kept.refresh()
  t.equal(names(fixture).length, 1, 'however old')
  t.end()
})

void t.test('what a task pins stays, and everything while nobody knows what tasks pin', (t) => {
  const fixture = open(t)
  const { kept } = fixture
  for (const text of ['one', 'two', 'three']) kept.keep(textsOf(text))
  fixture.at += 1000 * DAY_MS
  fixture.pins = undefined
  kept.refresh()
  t.equal(names(fixture).length, 3)
  fixture.pins = new Set([digestOf('one')])
  kept.refresh()
  t.equal(readKeptRules(fixture.stateDir, digestOf('one')), 'one', 'pinned')
  t.equal(readKeptRules(fixture.stateDir, digestOf('two')), undefined)
  t.equal(readKeptRules(fixture.stateDir, digestOf('three')), 'three', 'in force')
  fixture.pins = new Set()
  kept.refresh()
  t.equal(names(fixture).length, 1, 'once its task has ended it goes')
  t.end()
})

void t.test('the bound is in bytes: what is longest out of force goes first', (t) => {
  const fixture = open(t)
  const big = (name: string): string => name.repeat(100_000)
  for (const name of ['1', '2', '3']) {
    fixture.at += 1000
    fixture.kept.keep(textsOf(big(name)))
  }
  t.strictSame(
    names(fixture).toSorted(),
    [digestOf(big('2')), digestOf(big('3'))].map((one) => `${one.slice(7)}.yaml`).toSorted(),
  )
  t.end()
})

void t.test('a directory that cannot be used is told and stops nothing', (t) => {
  const fixture = open(t)
  writeFileSync(keptRulesDir(fixture.stateDir), 'no directory')
  fixture.kept.keep(textsOf('one'))
  t.equal(fixture.problems.length, 1)
  t.doesNotThrow(() => utimesSync(keptRulesDir(fixture.stateDir), 1, 1))
  t.end()
})
