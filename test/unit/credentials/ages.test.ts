import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { SecretAges } from '../../../src/credentials/ages.ts'
import type { Secret } from '../../../src/credentials/secret.ts'
import { makeSecret } from '../../../src/credentials/vault.ts'

void t.test('R82: the age of a static secret is that of its value, over restarts', async (t) => {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'sallyport-ages-'))
  t.teardown(() => rmSync(stateDir, { recursive: true, force: true }))
  const values = new Map([
    ['one', 'value-of-one'],
    ['two', 'value-of-two'],
  ])
  const clock = { now: 1_000_000 }
  const problems: unknown[] = []
  const open = (): SecretAges =>
    new SecretAges({
      stateDir,
      key: new Uint8Array(32).fill(7),
      names: ['one', 'two'],
      secretOf: async (name): Promise<Secret> => {
        const value = values.get(name)
        if (value === undefined) throw new Error('there is none')
        return makeSecret(name, value)
      },
      onProblem: (error) => problems.push(error),
      now: () => clock.now,
    })
  const first = open()
  t.equal(first.count, 2)
  t.equal(first.oldestSeconds, 0, 'none was seen yet')
  t.strictSame(await first.look(), [])
  clock.now += 60_000
  t.equal(first.oldestSeconds, 60)
  values.set('one', 'another-value')
  await first.look()
  t.equal(first.oldestSeconds, 60, 'the other is as old')
  clock.now += 60_000

  const second = open()
  t.equal(second.oldestSeconds, 120)
  values.set('two', 'another-value')
  await second.look()
  t.equal(second.oldestSeconds, 60, 'now the one that was rotated first')
  values.delete('one')
  t.strictSame(await second.look(), ['one'])
  t.equal(second.oldestSeconds, 60, 'one that is away is not a new one')
  const file = path.join(stateDir, 'secret-ages.json')
  t.notMatch(readFileSync(file, 'utf8'), /value/, 'R55: no value is kept')
  t.strictSame(problems, [])

  writeFileSync(file, 'no JSON')
  t.equal(open().oldestSeconds, 0)
  t.equal(problems.length, 1, 'what cannot be read is told')
})
