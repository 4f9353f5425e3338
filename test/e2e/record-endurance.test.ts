// The record under the worst: the sidecar is killed a hundred times in the middle of its work, its sink too, and nothing
// that an origin saw is without its record, nothing recorded is without its copy at the sink.

import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'

import { freePort, ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const KILLS = 100
const LOOPBACK = "addresses: ['127.0.0.0/8']"

/** Asks for one path after another through the proxy until told to stop; what fails is left. */
function startLoad(
  proxyPort: () => number,
  authority: string,
  next: () => string,
): { stop: () => Promise<void> } {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 })
  const end = new AbortController()
  const ask = (): Promise<void> =>
    new Promise((resolve) => {
      const outgoing = http.request(
        {
          host: '127.0.0.1',
          port: proxyPort(),
          path: `http://${authority}${next()}`,
          headers: { host: authority },
          agent,
        },
        (response) => {
          response.resume().once('close', resolve)
        },
      )
      outgoing.once('error', () => setTimeout(resolve, 5))
      outgoing.end()
    })
  const loops = Array.from({ length: 4 }, async () => {
    while (!end.signal.aborted) await ask()
  })
  return {
    stop: async () => {
      end.abort()
      await Promise.all(loops)
      agent.destroy()
    },
  }
}

void t.test('killed again and again', { timeout: 118_000 }, async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => upstream.close())
  const authority = `up.test:${upstream.port}`
  const sinkPort = await freePort()
  const arrived = new Set<string>()
  let copies = 0
  const startSink = (): ReturnType<typeof startHttp> =>
    startHttp({
      port: sinkPort,
      handler: (_request, body) => {
        for (const line of body.toString().split('\n').slice(0, -1)) {
          arrived.add(JSON.parse(line).event.id)
          copies += 1
        }
        return { status: 200 }
      },
    })
  let sink = await startSink()
  t.teardown(() => sink.close())

  scenario(
    t,
    'R50 R54 R56: after a hundred kill -9 under load the chain verifies, what the origin saw is on record and at the sink',
    {
      hosts: ['up.test'],
      rules: ruleSet(`id: up, allow: 'http://${authority}', paths: ['/n/*'], ${LOOPBACK}`),
      config: `sinks: [{ http: { url: 'http://127.0.0.1:${sinkPort}/in' } }]\njournal: { segmentBytes: 256KiB }`,
    },
    async (cx, t) => {
      let asked = 0
      const load = startLoad(
        () => cx.proxyPort,
        authority,
        () => `/n/${String((asked += 1))}`,
      )
      for (let kill = 0; kill < KILLS; kill += 1) {
        const before = upstream.seen.length
        await until(() => upstream.seen.length > before + 5, 'calls get through')
        await sleep(kill % 10)
        await cx.stop('SIGKILL')
        // The receiver dies as well now and then, in the middle of what it is given.
        if (kill % 10 === 5) {
          await sink.close()
          sink = await startSink()
        }
        await cx.start()
      }
      await load.stop()
      const seen = upstream.seen.map(({ url }) => url)
      const records = cx.records()
      const started = new Set(
        records
          .filter(({ event }) => event.action === 'call-started')
          .map(({ url }) => url?.path ?? ''),
      )
      t.strictSame(
        seen.filter((path) => !started.has(path)),
        [],
        'every request that the origin saw was on record before',
      )
      t.ok(seen.length > KILLS * 5)
      t.equal(
        records.filter(({ event }) => event.action === 'journal-recovered').length > 0,
        true,
        'some calls were open when it died',
      )
      await until(() => {
        const open = new Set<string>()
        for (const { event, sallyport } of cx.records()) {
          if (event.action === 'call-started') open.add(sallyport.call!.id)
          else if (event.action === 'call-ended') open.delete(sallyport.call!.id)
        }
        return open.size === 0
      }, 'every call that started has ended')
      const expected = (): string[] =>
        cx
          .records()
          .filter(({ event }) => !/^call-(started|progress)$/.test(event.action))
          .map(({ event }) => event.id)
      await until(() => expected().every((id) => arrived.has(id)), 'everything is at the sink')
      t.comment(
        `${seen.length} requests seen, ${records.length} records, ${copies - arrived.size} copies more than once at the sink`,
      )
    },
  )
})
