// What a stream of a real nats-server takes from the NATS sink, and what it does not.

import t from 'tap'

import { noNats } from '../fixtures/nats-server.ts'
import { logged, natsOptions, rules, SINK, startNatsServer } from '../fixtures/nats-sink.ts'
import { request, scenario, until } from '../fixtures/scenario.ts'
import { callRefused, wantedIds } from '../fixtures/sink-records.ts'

void t.test('what a stream takes', { skip: noNats }, async (t) => {
  const small = await startNatsServer(t, 'max_payload: 4096')
  scenario(
    t,
    'R54: a record larger than the server takes is named and left out; those around it are stored',
    natsOptions(`nats://127.0.0.1:${small.port}`),
    async (cx, t) => {
      await callRefused(cx, 3)
      await cx.raw(request('GET', `http://nobody.test/${'long/'.repeat(1000)}`, 'nobody.test'))
      await callRefused(cx, 3)
      const large = (): string[] =>
        cx
          .records()
          .filter((record) => JSON.stringify(record).length > 4096)
          .map(({ event }) => event.id)
      let [stored, wanted]: [string[], string[]] = [[], []]
      // What the sink says of it is on record as well, and stored in its turn.
      await until(async () => {
        wanted = wantedIds(cx).filter((id) => id !== large()[0])
        if ((await small.reader.count(SINK)) !== wanted.length) return false
        stored = (await small.reader.messages(SINK)).map(({ id }) => id)
        return large().length === 1 && stored.length === wanted.length
      }, 'the others are stored')
      t.strictSame(stored, wanted)
      await logged(cx, 'sink refuses records for good')
    },
  )

  const late = await startNatsServer(t)
  scenario(
    t,
    'R54: a subject that no stream takes is tried on until one does',
    {
      hosts: ['nobody.test'],
      rules,
      config: `sinks: [{ nats: { url: 'nats://127.0.0.1:${late.port}', subject: other.records } }]`,
    },
    async (cx, t) => {
      await callRefused(cx, 3)
      await logged(cx, 'no stream takes this subject')
      t.notMatch(cx.log(), /"left"|"data"/, 'what is left is not in the log')
      await late.reader.addStream('other', ['other.>'])
      await until(
        async () => (await late.reader.count('other')) >= wantedIds(cx).length,
        'all are stored',
      )
      t.strictSame(
        (await late.reader.messages('other')).map(({ id }) => id),
        wantedIds(cx),
      )
    },
  )
  scenario(
    t,
    'R54: another stream than the one that has to take them stores none',
    {
      hosts: ['nobody.test'],
      rules,
      config: `sinks: [{ nats: { url: 'nats://127.0.0.1:${late.port}', subject: other.records, stream: ${SINK} } }]`,
    },
    async (cx, t) => {
      const before = await late.reader.count('other')
      await callRefused(cx, 3)
      await logged(cx, 'expected stream does not match')
      t.equal(await late.reader.count('other'), before)
    },
  )
  const full = await startNatsServer(t)
  await full.reader.addStream('full', ['full.>'], { max_msg_size: 1500, discard: 'new' })
  scenario(
    t,
    'R54: a record larger than the stream takes is left out as well',
    {
      hosts: ['nobody.test'],
      rules,
      config: `sinks: [{ nats: { url: 'nats://127.0.0.1:${full.port}', subject: full.records } }]`,
    },
    async (cx, t) => {
      await callRefused(cx, 2)
      await cx.raw(request('GET', `http://nobody.test/${'long/'.repeat(200)}`, 'nobody.test'))
      await callRefused(cx, 2)
      await logged(cx, 'sink refuses records for good')
      const large = cx.records().find((record) => record.url?.path.includes('long/'))
      await until(
        async () => (await full.reader.count('full')) >= wantedIds(cx).length - 1,
        'the others are stored',
      )
      t.notOk((await full.reader.messages('full')).some(({ id }) => id === large?.event.id))
    },
  )
})
