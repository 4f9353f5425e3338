// Reading the record from outside: `tail` and `summary` over what is there and what comes, while segments begin.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { request, ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const BIN = path.join(import.meta.dirname, '../../bin/sallyport.js')
const CALLS = 60

/** `tail --follow --json` as a process of its own. */
function follow(
  cx: Scenario,
  ...words: string[]
): { ids: () => string[]; end: () => Promise<void> } {
  const all = ['-u', 'NODE_OPTIONS', process.execPath, BIN, 'tail', '--follow', '--json', ...words]
  const child = spawn('env', all, { cwd: cx.directory, stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return {
    ids: () =>
      said
        .split('\n')
        .slice(0, -1)
        .map((line): string => JSON.parse(line).event.id),
    end: async () => {
      child.kill()
      await once(child, 'close')
    },
  }
}

void t.test('reading', async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const options = {
    hosts: ['up.test'],
    rules: ruleSet(`id: up, allow: 'http://${host}', paths: [/ok], addresses: [127.0.0.0/8]`),
    config: 'journal: { segmentBytes: 16KiB }',
  }

  scenario(
    t,
    'R50: tail and summary have every record of then and of now once, over segments',
    options,
    async (cx, t) => {
      const call = async (): Promise<void> => {
        for (let at = 0; at < CALLS; at += 1)
          await cx.raw(request('GET', `http://${host}/${at % 3 === 0 ? 'no' : 'ok'}`, host))
      }
      const terminal = (): string[] =>
        cx
          .records()
          .filter(({ event }) => !/^call-(?:started|progress)$/.test(event.action))
          .map(({ event }) => event.id)
      const denied = (): string[] =>
        cx
          .terminal()
          .filter(({ event }) => event.action === 'call-denied')
          .map(({ event }) => event.id)
      await call()
      const [all, refused] = [follow(cx), follow(cx, '--verdict', 'deny')]
      await until(() => all.ids().length > CALLS, 'it has what was there')
      await call()
      await until(() => all.ids().length >= terminal().length, 'it has what came')
      await until(() => refused.ids().length >= denied().length, 'also what is asked for alone')
      const segments = readdirSync(path.join(cx.directory, 'journal'))
      t.ok(segments.filter((name) => name.endsWith('.ndjson')).length > 3, 'over segments')
      const seen = all.ids()
      t.strictSame(seen, terminal().slice(0, seen.length), 'in order, none left out, none twice')
      t.strictSame(refused.ids(), denied())
      await all.end()
      await refused.end()

      const { calls, reasons } = JSON.parse(cx.run('summary', '--json').stdout)
      t.match(calls, { allowed: (2 * CALLS * 2) / 3, denied: (2 * CALLS) / 3 })
      t.match(JSON.stringify(reasons), /path-not-allowed/)
      const lines = cx
        .run('tail', '-n', '5', '--verdict', 'deny', '--json')
        .stdout.trim()
        .split('\n')
      t.strictSame(
        lines.map((line) => JSON.parse(line).event.id),
        denied().slice(-5),
      )
    },
  )
})
