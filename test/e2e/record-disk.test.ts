// What the record does on a disk that is full, read-only or slow; the unit tests of the journal have the finer cases.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'

import t from 'tap'

import { request, ruleSet, scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const ENTER = ['-rm', process.execPath, path.join(import.meta.dirname, 'record-disk.child.ts')]
const canMount = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt']).status === 0
const canTrace =
  spawnSync('strace', ['-qq', '-o', '/dev/null', '-e', 'trace=fdatasync', 'true']).status === 0
const SLOW = ['-e', 'trace=fdatasync', '-e', 'inject=fdatasync:delay_enter=400ms']
const CALLS = 20

void t.spawn('unshare', ENTER, {
  name: 'R54: a disk that fills up, and one that is read-only',
  ...(!canMount && { skip: 'this machine lets nobody mount' }),
})

const skip = !canTrace && { skip: 'this machine lets nobody trace' }
void t.test('a slow disk', { ...skip }, async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  const host = `up.test:${upstream.port}`
  scenario(
    t,
    'R54: every fdatasync takes 0.4 s: calls wait for their record, refusals do not, and nothing fails',
    {
      hosts: ['up.test'],
      rules: ruleSet(
        `id: up, allow: 'http://${host}', paths: ['/n/*'], addresses: ['127.0.0.0/8']`,
      ),
      config: 'journal: { sync: disk }',
    },
    async (cx, t) => {
      cx.track(upstream)
      const tracer = spawn('strace', ['-f', '-o', '/dev/null', ...SLOW, '-p', String(cx.pid())], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      await once(tracer.stderr, 'data')
      let allowed = 0
      const order: string[] = []
      const calls = Array.from({ length: CALLS }, async (_, at) => {
        const answer = await cx.raw(request('GET', `http://${host}/n/${String(at)}`, host), 10_000)
        if (answer.startsWith('HTTP/1.1 200')) allowed += 1
        order.push('allowed')
      })
      const refusal = cx.raw(request('GET', `http://${host}/no`, host), 10_000).then((answer) => {
        order.push('refused')
        return answer
      })
      t.match(await refusal, /^HTTP\/1\.1 403 /)
      await Promise.all(calls)
      t.equal(allowed, CALLS, 'all of them get through')
      t.equal(order[0], 'refused', 'a refusal waits for no disk')
      tracer.kill('SIGINT')
      await once(tracer, 'exit')
    },
  )
})
