// The file that tasks are kept in: what was appended stays, also where it cannot be rewritten shorter.

import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { StateLog } from '../../../src/tasks/state-log.ts'

interface Value {
  readonly id: string
  readonly count: number
}

const APPENDED = 2500

function isValue(value: unknown): value is Value {
  return typeof value === 'object' && value !== null && 'id' in value && 'count' in value
}

void t.test('a file that cannot be rewritten shorter goes on growing', (t) => {
  const file = path.join(t.testdir({}), 'values.ndjson')
  const linesOf = (): number => readFileSync(file, 'utf8').split('\n').length - 1
  // Nothing can be written where a directory is.
  mkdirSync(`${file}.new`)
  const log = new StateLog(file, isValue)
  for (let count = 1; count <= APPENDED; count += 1) log.append({ id: 'a', count }, false)
  t.equal(linesOf(), APPENDED, 'each line once')
  rmSync(`${file}.new`, { recursive: true })
  for (let count = 1; count <= APPENDED; count += 1) log.append({ id: 'a', count }, false)
  t.ok(linesOf() < APPENDED, 'and is rewritten as soon as it can be')
  log.append({ id: 'b', count: 1 }, true)
  log.close()
  const again = new StateLog(file, isValue)
  t.strictSame(
    [...again.values()],
    [
      { id: 'a', count: APPENDED },
      { id: 'b', count: 1 },
    ],
  )
  again.close()
  t.end()
})
