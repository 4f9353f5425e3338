import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'

import t from 'tap'

import { reveal } from '../../../src/credentials/reveal.ts'
import { openSource, type SecretSource } from '../../../src/credentials/local-source.ts'
import { EgressError } from '../../../src/errors.ts'

const BYTES_MAX = 64
const CANARY = 'canary-6f1c4e0d9b7a42'

function fromVariable(value: string | undefined): SecretSource {
  return openSource(
    'github',
    { env: 'TOKEN' },
    { environment: { TOKEN: value }, bytesMax: BYTES_MAX },
  )
}

function fromFile(file: string): SecretSource {
  return openSource('github', { file }, { environment: {}, bytesMax: BYTES_MAX })
}

async function valueOf(source: SecretSource): Promise<string> {
  return reveal(await source.secret(), 'test')
}

/** The detail of the refusal, after proving that it holds nothing of the value. */
async function refusalOf(source: SecretSource): Promise<string> {
  const error = await source.secret().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof EgressError)) throw new Error('expected an EgressError', { cause: error })
  t.equal(error.reason, 'credential-unavailable')
  t.equal(error.detail['credential'], 'github')
  t.notMatch(inspect(error, { showHidden: true, depth: 9 }) + error.stack, /canary/)
  return String(error.detail['why'])
}

void t.test('a variable gives its value, without one trailing newline', async (t) => {
  t.equal(await valueOf(fromVariable(CANARY)), CANARY)
  t.equal(await valueOf(fromVariable(`${CANARY}\n`)), CANARY)
  t.equal(await valueOf(fromVariable(`${CANARY}\r\n`)), CANARY)
  t.equal(await valueOf(fromVariable('two words')), 'two words')
})

void t.test('a value that is no header text is refused without being told', async (t) => {
  t.equal(await refusalOf(fromVariable(undefined)), 'the variable is not set')
  t.equal(await refusalOf(fromVariable('')), 'the value is empty')
  t.equal(await refusalOf(fromVariable('\n')), 'the value is empty')
  for (const bad of [
    'canary\n\n',
    'canary\r\nX-Evil: 1',
    'canary\0',
    'canary\t1',
    'canary\x7f',
    'canäry',
    ' canary',
    'canary ',
  ])
    t.match(await refusalOf(fromVariable(bad)), /characters that no header may have/)
  t.equal(await refusalOf(fromVariable('canary'.repeat(20))), 'the value is too long')
  t.equal(await valueOf(fromVariable('c'.repeat(BYTES_MAX))), 'c'.repeat(BYTES_MAX))
})

void t.test('NAME_FILE stands in for a variable that is not set', async (t) => {
  const file = join(t.testdir({ token: `${CANARY}\n` }), 'token')
  const open = (environment: Record<string, string>): SecretSource =>
    openSource('github', { env: 'TOKEN' }, { environment, bytesMax: BYTES_MAX })
  t.equal(await valueOf(open({ TOKEN_FILE: file })), CANARY)
  t.equal(await valueOf(open({ TOKEN_FILE: file, TOKEN: 'x' })), 'x')
})

void t.test(
  'a file is read again whenever it changes, and the same secret kept while it does not',
  async (t) => {
    const file = join(t.testdir({ token: 'first' }), 'token')
    const source = fromFile(file)
    t.equal(await valueOf(source), 'first')
    // Same size and, of that many, some within one tick of the file system's clock.
    for (let round = 100; round < 150; round += 1) {
      writeFileSync(file, `v${round}x`)
      t.equal(await valueOf(source), `v${round}x`)
    }
    writeFileSync(file, 'third\n')
    t.equal(await valueOf(source), 'third')
    await sleep(150)
    const kept = await source.secret()
    t.equal(await source.secret(), kept, 'unchanged: the same secret')
    writeFileSync(`${file}.new`, 'third\n')
    utimesSync(`${file}.new`, 1, 1)
    utimesSync(file, 1, 1)
    renameSync(`${file}.new`, file)
    t.not(await source.secret(), kept, 'another file of the same size and time')
    t.equal(await valueOf(source), 'third')
  },
)

void t.test('a link that is turned to another file gives the other value', async (t) => {
  const dir = t.testdir({ one: 'first', two: 'secon' })
  symlinkSync('one', join(dir, 'token'))
  const source = fromFile(join(dir, 'token'))
  t.equal(await valueOf(source), 'first')
  symlinkSync('two', join(dir, 'next'))
  renameSync(join(dir, 'next'), join(dir, 'token'))
  t.equal(await valueOf(source), 'secon')
})

void t.test(
  'a file that cannot be used refuses the call, and serves the next once it can',
  async (t) => {
    const dir = t.testdir({ token: CANARY })
    const file = join(dir, 'token')
    const source = fromFile(file)
    t.equal(await valueOf(source), CANARY)
    rmSync(file)
    t.equal(await refusalOf(source), 'the file cannot be read')
    mkdirSync(file)
    t.equal(await refusalOf(source), 'it is not a regular file')
    rmSync(file, { recursive: true })
    symlinkSync('/dev/zero', file)
    t.equal(await refusalOf(source), 'it is not a regular file')
    rmSync(file)
    writeFileSync(file, 'canary'.repeat(1000))
    t.equal(await refusalOf(source), 'the value is too long')
    writeFileSync(file, 'canary\nsecond line\n')
    t.match(await refusalOf(source), /characters/)
    writeFileSync(file, '')
    t.equal(await refusalOf(source), 'the value is empty')
    writeFileSync(file, `${'c'.repeat(BYTES_MAX)}\r\n`)
    t.equal(await valueOf(source), 'c'.repeat(BYTES_MAX))
  },
)

void t.test(
  'a file without permission refuses the call',
  { skip: process.getuid?.() === 0 && 'root reads everything' },
  async (t) => {
    const file = join(t.testdir({ token: CANARY }), 'token')
    chmodSync(file, 0)
    t.equal(await refusalOf(fromFile(file)), 'the file cannot be read')
  },
)

void t.test('many calls at once read a changed file once', async (t) => {
  const source = fromFile(join(t.testdir({ token: CANARY }), 'token'))
  const secrets = await Promise.all(Array.from({ length: 50 }, () => source.secret()))
  t.equal(new Set(secrets).size, 1)
})
