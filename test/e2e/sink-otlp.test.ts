// The OTLP sink seen from outside.

import t from 'tap'

import { OtlpReceiver } from '../fixtures/otlp-receiver.ts'
import { freePort, request, scenario, until } from '../fixtures/scenario.ts'
import { storyOptions, tellStory } from '../fixtures/sink-story.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const TOKEN = 'Bearer otlp-canary-token'

void t.test('R54: the OTLP sink', async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => upstream.close())
  const start = async (): Promise<OtlpReceiver> => {
    const receiver = new OtlpReceiver(TOKEN, await freePort())
    await receiver.start()
    t.teardown(() => receiver.stop())
    return receiver
  }
  const optionsFor = (receiver: OtlpReceiver): ReturnType<typeof storyOptions> =>
    storyOptions(
      `{ otlp: { url: '${receiver.url}', headers: { authorization: { env: OTLP_TOKEN } } } }`,
      { OTLP_TOKEN: TOKEN },
      upstream.port,
    )

  const receiver = await start()
  scenario(
    t,
    'R54: every record is there, whatever happens to the receiver and the sidecar',
    optionsFor(receiver),
    async (cx, t) => {
      await tellStory(cx, t, upstream.port, { receiver, ids: () => receiver.ids })
      const instances = receiver.logs.map(({ resource }) => resource.get('service.instance.id'))
      t.equal(new Set(instances).size, 1, 'from one journal over all restarts')
    },
  )

  const leaving = await start()
  leaving.reject = ({ attributes }) => attributes.get('url.path') === '/bad'
  scenario(
    t,
    'records that the receiver leaves out are told by their number',
    optionsFor(leaving),
    async (cx, t) => {
      const host = `up.test:${upstream.port}`
      for (const target of ['/ok', '/bad', '/bad'])
        await cx.raw(request('GET', `http://${host}${target}`, host))
      const told = (): number =>
        cx
          .records()
          .filter(({ event }) => event.action === 'sink-records-refused')
          .reduce((sum, { sallyport }) => sum + Number(sallyport.detail?.['count']), 0)
      await until(() => told() === 2, 'both are told')
      t.equal(told(), 2)
    },
  )
})
