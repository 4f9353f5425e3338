// Run by record-disk.test.ts in a mount namespace of its own: a journal on a file system of half a megabyte that fills up,
// is read-only, or is slow.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

import t, { type Test } from 'tap'

import { readHead, request, ruleSet, Scenario, until } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = "addresses: ['127.0.0.0/8']"
const FREE_BYTES = 48 * 1024

const mount = (...words: string[]): void => {
  const { status, stderr } = spawnSync('mount', words, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
}

/** A scenario whose journal is a small file system of its own. */
async function onTinyDisk(
  t: Test,
  body: (cx: Scenario, ask: (target: string) => Promise<string>, dir: string) => Promise<void>,
): Promise<void> {
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  const upstream = await startHttp({
    raw: (incoming, answer) => {
      if (incoming.url === '/slow') void gate.then(() => answer.end('slow'))
      else answer.end('ok')
    },
  })
  const host = `up.test:${upstream.port}`
  const cx = new Scenario({
    hosts: ['up.test'],
    rules: ruleSet(`id: up, allow: 'http://${host}', paths: ['/**'], ${LOOPBACK}`),
  })
  cx.track(upstream)
  t.teardown(() => release())
  const dir = path.join(cx.directory, 'journal')
  mkdirSync(dir)
  mount('-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', dir)
  try {
    const ask = (target: string): Promise<string> => {
      if (target === '/release') release()
      return cx.raw(request('GET', `http://${host}${target}`, host), 5000)
    }
    await body(cx, ask, dir)
  } finally {
    const records = t.passing() ? '' : cx.summary()
    spawnSync('umount', ['-l', dir])
    await cx.stop('SIGKILL')
    rmSync(cx.directory, { recursive: true, force: true })
    await upstream.close()
    if (records !== '') t.comment(`${cx.log()}\n${records}`)
  }
}

void t.test(
  'a full disk refuses new calls, ends those that run, breaks nothing and mends itself',
  async (t) => {
    await onTinyDisk(t, async (cx, ask, dir) => {
      await cx.start()
      const filler = path.join(dir, 'filler')
      const { bavail, bsize } = statfsSync(dir)
      writeFileSync(filler, Buffer.alloc(bavail * bsize - FREE_BYTES))
      const slow = net.connect(cx.proxyPort, '127.0.0.1')
      const authority = /allow: 'http:\/\/([^']+)'/.exec(
        readFileSync(path.join(cx.directory, 'rules/set.yaml'), 'utf8'),
      )![1]!
      slow.write(request('GET', `http://${authority}/slow`, authority))
      await until(() => cx.records().some(({ url }) => url?.path === '/slow'), 'it has begun')
      let answers = 0
      let answer = ''
      while (!answer.startsWith('HTTP/1.1 503')) {
        answer = await ask('/n')
        answers += 1
        if (answers > 500) throw new Error('the disk never fills')
      }
      t.match(answer, /^HTTP\/1\.1 503 Sallyport: audit-unavailable\r\n/)
      t.ok(answers > 5, 'until then they get through')
      t.match(await ask('/n'), /audit-unavailable/, 'and so is the next')
      const ready = await fetch(`http://127.0.0.1:${cx.healthPort}/readyz`)
      t.equal(ready.status, 503, 'it is not ready')
      const ended = readHead(slow)
      const midway = cx.run('verify', dir)
      t.equal(midway.status, 0, `what is there is whole: ${midway.stdout}`)
      await ask('/release')
      t.match(await ended, /^HTTP\/1\.1 200 /, 'a call that runs is not cut')
      rmSync(filler)
      await until(async () => (await ask('/n')).startsWith('HTTP/1.1 200'), 'it mends itself')
      await until(
        () =>
          cx
            .records()
            .some(({ event, url }) => event.action === 'call-ended' && url?.path === '/slow'),
        'the end that was owed is written',
      )
      t.ok(
        cx.records().some(({ event }) => event.action === 'journal-failed'),
        'the journal tells its own gap',
      )
      t.equal(await cx.stop(), 0)
      const after = cx.run('verify', dir)
      t.equal(after.status, 0, `and it verifies: ${after.stdout}`)
    })
  },
)

void t.test('a read-only disk is no place to begin, the same one writable is', async (t) => {
  await onTinyDisk(t, async (cx, ask, dir) => {
    mount('-o', 'remount,ro', dir)
    await t.rejects(cx.start(), /exited with 1[^]*audit-unavailable/)
    mount('-o', 'remount,rw', dir)
    await cx.start()
    t.match(await ask('/n'), /^HTTP\/1\.1 200 /)
    t.equal(await cx.stop(), 0)
  })
})
