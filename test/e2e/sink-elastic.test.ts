// The sink for Elasticsearch and OpenSearch seen from outside.

import t from 'tap'

import { ElasticReceiver } from '../fixtures/elastic-receiver.ts'
import { freePort, request, scenario, until } from '../fixtures/scenario.ts'
import { storyOptions, tellStory } from '../fixtures/sink-story.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const KEY = 'ZWxhc3RpYy1jYW5hcnk6a2V5'

void t.test('R54: the Elasticsearch sink', async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  const receiver = new ElasticReceiver('logs-sallyport-default', KEY, await freePort())
  await receiver.start()
  t.teardown(() => Promise.all([upstream.close(), receiver.stop()]))
  scenario(
    t,
    'R54: every record is there once, whatever happens to the receiver and the sidecar',
    storyOptions(
      `{ elastic: { url: '${receiver.url}', index: logs-sallyport-default, apiKey: { env: ELASTIC_KEY } } }`,
      { ELASTIC_KEY: KEY },
      upstream.port,
    ),
    async (cx, t) => {
      await tellStory(cx, t, upstream.port, { receiver, ids: () => receiver.ids })
      t.ok(receiver.conflicts > 0, 'what was sent again was refused as there already')
      t.strictSame(
        [...receiver.documents.values()],
        cx.records().filter(({ event }) => event.action !== 'call-started'),
        'each as it stands in the journal',
      )
    },
  )

  const picky = new ElasticReceiver('logs-sallyport-default', KEY, await freePort())
  await picky.start()
  t.teardown(() => picky.stop())
  scenario(
    t,
    'a record that the index refuses is told, and stops none behind it',
    storyOptions(
      `{ elastic: { url: '${picky.url}', index: logs-sallyport-default, apiKey: { env: ELASTIC_KEY } } }`,
      { ELASTIC_KEY: KEY },
      upstream.port,
    ),
    async (cx, t) => {
      picky.refuse = ({ url }) =>
        JSON.stringify(url)?.includes('/bad') === true
          ? { status: 400, type: 'document_parsing_exception', reason: `not with ${KEY}` }
          : undefined
      const host = `up.test:${upstream.port}`
      for (const target of ['/ok', '/bad', '/ok'])
        await cx.raw(request('GET', `http://${host}${target}`, host))
      const bad = await cx.record(({ url }) => url?.path === '/bad')
      await until(
        () => cx.records().some(({ event }) => event.action === 'sink-records-refused'),
        'the refusal is on record',
      )
      const told = cx.records().find(({ event }) => event.action === 'sink-records-refused')
      t.match(JSON.stringify(told?.sallyport.detail), bad.event.id)
      await until(
        () =>
          cx
            .terminal()
            .filter(({ url }) => url?.path === '/ok')
            .every(({ event }) => picky.documents.has(event.id)),
        'the others are there',
      )
    },
  )
})
