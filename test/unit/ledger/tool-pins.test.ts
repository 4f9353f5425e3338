// Proves that a server cannot show one definition of a tool and serve another, whatever it and the machine do.

import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import path from 'node:path'

import * as fc from 'fast-check'
import t from 'tap'

import { OpenRequests } from '../../../src/ledger/open-requests.ts'
import { ToolPins } from '../../../src/ledger/tool-pins.ts'
import { seeTool } from '../../fixtures/see-tool.ts'

const SERVER = 'https://mcp.test/mcp'
const FILE = 'tool-pins.ndjson'
const A = 'sha256:a'
const B = 'sha256:b'
const C = 'sha256:c'

function openPins(dir: string, toolsPinnedMax = 100) {
  const problems: unknown[] = []
  const pins = new ToolPins({ dir, toolsPinnedMax, onProblem: (error) => problems.push(error) })
  return { pins, problems }
}

void t.test('the first definition is pinned, another is refused for the rest of the task', (t) => {
  const { pins } = openPins(t.testdir())
  t.equal(pins.check('t_1', SERVER, 'read'), 'unknown')
  t.equal(pins.digestOf('t_1', SERVER, 'read'), undefined)
  t.equal(seeTool(pins, 't_1', SERVER, 'read', A), 'first')
  t.equal(seeTool(pins, 't_1', SERVER, 'read', A), 'known')
  t.equal(pins.check('t_1', SERVER, 'read'), 'ok')
  t.equal(pins.digestOf('t_1', SERVER, 'read'), A)
  t.equal(pins.check('t_1', SERVER, 'write'), 'unknown')
  t.equal(seeTool(pins, 't_1', SERVER, 'read', B), 'changed')
  t.equal(pins.check('t_1', SERVER, 'read'), 'changed')
  t.equal(seeTool(pins, 't_1', SERVER, 'read', A), 'changed', 'a server that flips is not believed')
  t.equal(pins.check('t_1', SERVER, 'read'), 'changed')
  t.equal(seeTool(pins, 't_1', 'https://mcp.test/other', 'read', B), 'first', 'another server')
  t.equal(seeTool(pins, 't_2', SERVER, 'read', B), 'first', 'another task, a child too')
  t.equal(pins.check('t_2', SERVER, 'read'), 'ok')
  pins.close()
  t.end()
})

void t.test('after a whole list, what is new is refused', (t) => {
  const { pins } = openPins(t.testdir())
  t.strictSame(
    pins.seeAll('t_1', SERVER, [
      { name: 'one', digest: A },
      { name: 'two', digest: A },
      { name: 'two', digest: B },
    ]),
    ['first', 'first', 'changed'],
    'one name twice is a change',
  )
  t.equal(seeTool(pins, 't_1', SERVER, 'three', A), 'first', 'the list goes on')
  pins.completeList('t_1', SERVER)
  pins.completeList('t_1', SERVER)
  t.equal(seeTool(pins, 't_1', SERVER, 'four', A), 'added')
  t.equal(seeTool(pins, 't_1', SERVER, 'four', A), 'added')
  t.equal(pins.check('t_1', SERVER, 'four'), 'added')
  t.equal(seeTool(pins, 't_1', SERVER, 'one', A), 'known')
  t.equal(pins.check('t_1', SERVER, 'one'), 'ok')
  t.equal(
    seeTool(pins, 't_1', 'https://mcp.test/2', 'four', A),
    'first',
    'another server’s is not whole',
  )
  pins.completeList('t_2', SERVER)
  t.equal(seeTool(pins, 't_2', SERVER, 'one', A), 'added', 'an empty list was whole')
  t.equal(
    seeTool(pins, 't_1', SERVER, 'four', A, A),
    'first',
    'but for what the rule file asks for',
  )
  t.equal(pins.check('t_1', SERVER, 'four', A), 'ok')
  pins.close()
  t.end()
})

void t.test('the digest in the rule file goes before what was seen', (t) => {
  const { pins } = openPins(t.testdir())
  t.equal(seeTool(pins, 't_1', SERVER, 'read', B, A), 'changed', 'at first sight')
  t.equal(pins.check('t_1', SERVER, 'read', A), 'changed')
  t.equal(pins.check('t_1', SERVER, 'read'), 'changed')
  t.equal(seeTool(pins, 't_1', SERVER, 'read', A, A), 'known', 'it is mended')
  t.equal(pins.check('t_1', SERVER, 'read', A), 'ok')
  t.equal(pins.check('t_1', SERVER, 'read', C), 'changed', 'the rule file asks for another now')
  t.equal(seeTool(pins, 't_1', SERVER, 'read', C, C), 'known')
  t.equal(pins.check('t_1', SERVER, 'read', C), 'ok')
  t.equal(pins.check('t_1', SERVER, 'never', A), 'unknown')
  t.equal(seeTool(pins, 't_1', SERVER, 'seen', A), 'first')
  t.equal(seeTool(pins, 't_1', SERVER, 'seen', B), 'changed')
  t.equal(seeTool(pins, 't_1', SERVER, 'seen', C), 'changed')
  t.equal(pins.check('t_1', SERVER, 'seen', B), 'changed', 'what was seen last counts')
  t.equal(pins.check('t_1', SERVER, 'seen', C), 'ok')
  pins.close()
  t.end()
})

void t.test('an endpoint has the pins of the stream that named it', (t) => {
  const { pins } = openPins(t.testdir())
  const [stream, endpoint] = ['https://mcp.test/sse', 'https://mcp.test/messages']
  t.ok(pins.alias('t_1', stream, stream))
  t.ok(pins.alias('t_1', endpoint, stream))
  t.ok(pins.alias('t_1', endpoint, stream))
  seeTool(pins, 't_1', stream, 'read', A)
  t.equal(pins.check('t_1', endpoint, 'read'), 'ok')
  t.equal(seeTool(pins, 't_1', endpoint, 'read', B), 'changed')
  t.equal(pins.check('t_1', stream, 'read'), 'changed')
  t.notOk(pins.alias('t_1', endpoint, 'https://mcp.test/fresh'), 'it belongs to one stream')
  t.notOk(pins.alias('t_1', stream, 'https://mcp.test/fresh'), 'nothing sheds what was seen of it')
  t.equal(pins.check('t_1', stream, 'read'), 'changed')
  t.ok(pins.alias('t_2', endpoint, 'https://mcp.test/fresh'), 'another task’s')
  pins.close()
  t.end()
})

void t.test(
  'I7: toolsPinnedMax bounds what is remembered of a task, and the rest is refused',
  (t) => {
    const dir = t.testdir()
    const { pins } = openPins(dir, 4)
    for (const tool of ['1', '2', '3']) t.equal(seeTool(pins, 't_1', SERVER, tool, A), 'first')
    t.equal(seeTool(pins, 't_1', SERVER, '4', A), 'added')
    t.equal(pins.check('t_1', SERVER, '4'), 'added')
    t.equal(pins.check('t_1', 'https://other.test/', '1'), 'added')
    t.notOk(pins.alias('t_1', 'https://mcp.test/messages', SERVER))
    pins.completeList('t_1', 'https://other.test/')
    t.equal(seeTool(pins, 't_1', SERVER, '1', A), 'known')
    t.equal(pins.check('t_1', SERVER, '1'), 'ok')
    t.equal(seeTool(pins, 't_2', SERVER, '4', A), 'first', 'others have their own')
    const bytes = statSync(path.join(dir, FILE)).size
    for (let flip = 0; flip < 100; flip += 1) seeTool(pins, 't_1', SERVER, '1', `sha256:${flip}`)
    t.ok(statSync(path.join(dir, FILE)).size < bytes + 200, 'a change is written once')
    seeTool(pins, 't_3', SERVER, 'x'.repeat(100_000), A)
    t.ok(statSync(path.join(dir, FILE)).size < bytes + 1000, 'no name makes a line long')
    pins.close()
    t.end()
  },
)

void t.test('a restart and a kill change nothing', async (t) => {
  const dir = t.testdir()
  const script = path.join(import.meta.dirname, 'tool-pins.child.ts')
  const child = spawn(process.execPath, [script, dir], {
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  // A line that was being written.
  writeFileSync(path.join(dir, FILE), '{"id":"t_1 half', { flag: 'a' })
  for (const run of ['after a kill', 'after an end']) {
    const { pins } = openPins(dir)
    t.equal(pins.check('t_1', SERVER, 'kept'), 'ok', run)
    t.equal(seeTool(pins, 't_1', SERVER, 'kept', 'sha256:1'), 'known')
    t.equal(pins.check('t_1', SERVER, 'changed'), 'changed')
    t.equal(seeTool(pins, 't_1', SERVER, 'new', A), 'added')
    pins.close()
  }
})

void t.test('what is damaged is refused, loudly', (t) => {
  const dir = t.testdir()
  openPins(dir).pins.close()
  const file = path.join(dir, FILE)
  const line = `{"id":"t_1 ${'a'.repeat(43)}","state":"changed","value":""}\n`
  for (const damaged of [
    'x\n',
    '{}\n',
    'null\n',
    line.replace('changed', 'fine'),
    line.replace('t_1 ', ''),
    line.replace('""', '1'),
  ]) {
    writeFileSync(file, line + damaged)
    t.throws(() => openPins(dir), /line 2 is not what was written/)
  }
  writeFileSync(file, line)
  openPins(dir).pins.close()
  t.end()
})

void t.test('the end of a task forgets its pins, also over a restart', (t) => {
  const dir = t.testdir()
  const first = openPins(dir).pins
  for (const task of ['t_1', 't_2', 't_3'])
    for (const digest of [A, B]) seeTool(first, task, SERVER, 'read', digest)
  t.equal(first.forget('t_1'), 2, 'a tool and its server')
  t.equal(first.forget('t_1'), 0)
  t.equal(first.check('t_1', SERVER, 'read'), 'unknown')
  t.equal(first.check('t_2', SERVER, 'read'), 'changed')
  first.close()
  const second = openPins(dir).pins
  t.equal(seeTool(second, 't_1', SERVER, 'read', C), 'first', 'the same id may begin anew')
  t.equal(second.check('t_2', SERVER, 'read'), 'changed')
  for (let task = 0; task < 600; task += 1) {
    seeTool(second, `t_many${task}`, SERVER, 'read', A)
    second.forget(`t_many${task}`)
  }
  second.close()
  const lines = readFileSync(path.join(dir, FILE), 'utf8').split('\n').length
  t.ok(lines < 1500, 'the lines of those that ended go')
  t.end()
})

void t.test('what cannot be written is in force, told, and written later', (t) => {
  const dir = t.testdir()
  const { pins, problems } = openPins(dir)
  seeTool(pins, 't_1', SERVER, 'read', A)
  pins.close()
  t.equal(seeTool(pins, 't_1', SERVER, 'read', B), 'changed')
  t.equal(pins.check('t_1', SERVER, 'read'), 'changed')
  t.equal(problems.length, 1)
  const blocked = path.join(dir, 'blocked')
  writeFileSync(blocked, '')
  t.throws(() => openPins(blocked))
  rmSync(blocked)
  mkdirSync(blocked)
  openPins(blocked).pins.close()
  t.end()
})

void t.test('property: a tool is never ok again once two digests were seen', async (t) => {
  const dir = t.testdir()
  let run = 0
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('x', 'y'), fc.constantFrom(A, B, C)), { maxLength: 12 }),
      (seen) => {
        const task = `t_${(run += 1)}`
        const { pins } = openPins(dir)
        const digests = new Map<string, Set<string>>()
        for (const [name, digest] of seen) {
          seeTool(pins, task, SERVER, name, digest)
          digests.set(name, (digests.get(name) ?? new Set()).add(digest))
        }
        pins.close()
        const { pins: again } = openPins(dir)
        const holds = [...digests].every(
          ([name, { size }]) => again.check(task, SERVER, name) === (size === 1 ? 'ok' : 'changed'),
        )
        again.close()
        return holds
      },
    ),
    { numRuns: 40 },
  )
  t.pass('over restarts')
})

void t.test('an answer to one of two requests under one id is an answer to any', (t) => {
  const requests = new OpenRequests(10)
  requests.note('t_1', SERVER, 1, 'tools/list')
  requests.note('t_1', SERVER, 1, 'tools/call', 'read')
  t.strictSame(requests.find('t_1', SERVER, 1), {}, 'it may be the list')
  t.strictSame(requests.take('t_1', SERVER, 1), {})
  requests.note('t_1', SERVER, 1, 'tools/call', 'read')
  requests.note('t_1', SERVER, 1, 'tools/call', 'write')
  t.strictSame(requests.take('t_1', SERVER, 1), { method: 'tools/call', tool: 'write' })
  t.end()
})

void t.test('a response is told what it answers, once', (t) => {
  const requests = new OpenRequests(2)
  requests.note('t_1', SERVER, 1, 'tools/call', 'read')
  requests.note('t_1', SERVER, '1', 'tools/list')
  t.equal(requests.take('t_1', 'https://mcp.test/other', 1), undefined)
  t.equal(requests.take('t_2', SERVER, 1), undefined)
  t.strictSame(requests.take('t_1', SERVER, 1), { method: 'tools/call', tool: 'read' })
  t.equal(requests.take('t_1', SERVER, 1), undefined)
  t.strictSame(requests.take('t_1', SERVER, '1'), { method: 'tools/list' })
  for (const id of [1, 2, 3]) requests.note('t_1', SERVER, id, 'ping')
  requests.note('t_2', SERVER, 1, 'ping')
  t.equal(requests.take('t_1', SERVER, 1), undefined, 'the oldest goes')
  t.strictSame(requests.take('t_1', SERVER, 3), { method: 'ping' })
  t.equal(requests.forget('t_1'), 1)
  t.equal(requests.take('t_1', SERVER, 2), undefined)
  t.strictSame(requests.take('t_2', SERVER, 1), { method: 'ping' }, 'another task’s stay')
  t.equal(requests.forget('t_3'), 0)
  t.end()
})
