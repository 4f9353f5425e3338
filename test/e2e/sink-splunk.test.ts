// The sink for Splunk's HTTP Event Collector seen from outside.

import t from 'tap'

import { freePort, scenario } from '../fixtures/scenario.ts'
import { storyOptions, tellStory } from '../fixtures/sink-story.ts'
import { SplunkReceiver } from '../fixtures/splunk-receiver.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const TOKEN = '3c1d1d7e-canary-4a8e-9c11-0e6a5a1e2b3c'

void t.test('R54: the Splunk sink', async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => upstream.close())
  for (const acknowledges of [true, false]) {
    const options = { token: TOKEN, acknowledges, indexes: ['agents'], port: await freePort() }
    const receiver = new SplunkReceiver(options)
    receiver.pollsUntilIndexed = 1
    await receiver.start()
    t.teardown(() => receiver.stop())
    scenario(
      t,
      `R54: every record is there, ${acknowledges ? 'acknowledged' : 'taken'}, whatever happens to the collector and the sidecar`,
      storyOptions(
        `{ splunk: { url: '${receiver.url}', token: { env: HEC_TOKEN }, index: agents, acknowledge: ${acknowledges} } }`,
        { HEC_TOKEN: TOKEN },
        upstream.port,
      ),
      async (cx, t) => {
        await tellStory(cx, t, upstream.port, {
          receiver,
          ids: () => receiver.ids,
          die: () => receiver.die(),
        })
        t.equal(receiver.channels.size, 1, 'one channel over all restarts')
        const journal = new Map(cx.records().map((record) => [record.event.id, record]))
        for (const { event, fields } of receiver.indexed)
          t.strictSame(event, journal.get(fields['event_id'] ?? ''), 'as it stands in the journal')
      },
    )
  }
})
