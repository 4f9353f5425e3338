// Holds the project's files to what its documents say: bounds, invariants, file sizes, commands.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { DEFAULT_LIMITS } from '../../src/limits.ts'

const files = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(folder, name))
const read = (name: string): string => readFileSync(name, 'utf8')

void t.test('every bound is documented, enforced in src and reached by a test', async (t) => {
  const documentation = read('docs/configuration.md')
  const source = files('src')
    .filter((name) => name !== 'src/limits.ts' && !/^src\/(door|credential)-limits\.ts$/.test(name))
    .map(read)
    .join('\n')
  const tests = files('test')
    .filter((name) => name !== 'test/architecture/project.test.ts')
    .map(read)
    .join('\n')
  for (const name of Object.keys(DEFAULT_LIMITS)) {
    t.ok(documentation.includes(`\`${name}\``), `${name} is documented`)
    t.match(source, new RegExp(`\\b${name}\\b`), `${name} is enforced`)
    t.match(tests, new RegExp(`\\b${name}\\b`), `${name} is tested`)
  }
})

void t.test('I1 to I10 are cited where they are kept and where they are proved', async (t) => {
  const source = files('src').map(read).join('\n')
  const tests = files('test')
    .filter((name) => name !== 'test/architecture/project.test.ts')
    .map(read)
    .join('\n')
  for (const invariant of ['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8', 'I9', 'I10']) {
    t.match(source, new RegExp(`\\b${invariant}\\b`), `${invariant} is kept`)
    t.match(tests, new RegExp(`['"\`]${invariant}: `), `${invariant} is proved`)
  }
})

void t.test('every file of src opens with what it is responsible for', async (t) => {
  for (const name of files('src')) t.match(read(name), /^(#!.*\n)?\/\/ /, name)
})

void t.test('nothing is left behind', async (t) => {
  for (const name of [...files('src'), ...files('test')]) {
    if (name === 'test/architecture/project.test.ts') continue
    t.notMatch(read(name), /TODO|FIXME|XXX|\.only\(/, name)
  }
})

void t.test('rooms named in ARCHITECTURE.md are the rooms of src', async (t) => {
  const architecture = read('ARCHITECTURE.md')
  for (const entry of readdirSync('src', { withFileTypes: true })) {
    const name = entry.isDirectory() ? `${entry.name}/` : entry.name
    t.ok(architecture.includes(`\`${name}\``), `${name} is on the page`)
  }
})
