// Proves the key that placeholders are derived with: made once, the owner's alone, the same for whoever asks.

import { statSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { placeholderKey } from '../../../src/config/placeholder-key.ts'

void t.test('the key is made on demand, once, for its owner alone', (t) => {
  const stateDir = path.join(t.testdir(), 'state')
  const key = placeholderKey(stateDir)
  t.equal(key.length, 32)
  t.ok(placeholderKey(stateDir).equals(key))
  t.equal(statSync(path.join(stateDir, 'placeholder.key')).mode & 0o777, 0o600)
  t.equal(statSync(stateDir).mode & 0o777, 0o700)
  t.notOk(placeholderKey(path.join(t.testdir(), 'other')).equals(key))
  t.end()
})

void t.test('a file that is no key is refused, not used', (t) => {
  const stateDir = t.testdir({})
  writeFileSync(path.join(stateDir, 'placeholder.key'), 'short')
  t.throws(() => placeholderKey(stateDir), /is not a key of 32 bytes/)
  t.end()
})
