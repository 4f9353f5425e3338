// Proves what the HTTP sink sends in each form, compressed or not, and what it makes of an answer.

import { gunzipSync } from 'node:zlib'

import t from 'tap'

import { projectionFor } from '../../../../src/record/project/load.ts'
import { deliveryOf, startHttpSink, type HttpForm } from '../../../../src/record/sinks/http.ts'
import { until } from '../support.ts'
import { denied, ended, event, makeScene } from './scripted.ts'

interface Sent {
  readonly body: string
  readonly headers: Record<string, string>
  readonly path: string
}

const ORIGIN = { version: '1.2.3', journal: 'journal' }

void t.test(
  'records are sent in the form that is asked for, and those it has no word for are passed',
  async (t) => {
    const ecs = await projectionFor('ecs')
    const form = (framing: HttpForm['framing'], type: string): HttpForm => ({
      type,
      framing,
      load: () =>
        Promise.resolve((record) =>
          record.event.action === 'call-denied' ? undefined : ecs(record, ORIGIN),
        ),
    })
    const sentAs = async (
      own: HttpForm | undefined,
      compress: 'none' | 'gzip',
    ): Promise<Sent[]> => {
      const { dir, journal, log } = makeScene(t)
      for (const record of [ended('A'), denied('B'), event('rules-loaded')])
        await journal.append(record)
      const sent: Sent[] = []
      const sink = startHttpSink({
        name: 'siem',
        journal,
        stateDir: dir,
        limits: { sinkBatchMax: 500, sinkTimeoutMs: 1000 },
        log,
        now: Date.now,
        headers: { authorization: 'Bearer operator' },
        compress,
        path: '/in?a=b',
        ...(own && { form: own }),
        post: (body, headers, _signal, { path }) => {
          const isGzip = headers['content-encoding'] === 'gzip'
          sent.push({
            body: (isGzip ? gunzipSync(body) : Buffer.from(body)).toString(),
            headers,
            path,
          })
          return Promise.resolve({ status: 202, body: Buffer.alloc(0) })
        },
      })
      await until(() => sink.stats.backlog === 0, 'all is there')
      await journal.append(denied('C'))
      await until(() => sink.stats.backlog === 0, 'it is passed')
      await sink.close()
      return sent
    }
    const lines = await sentAs(undefined, 'none')
    t.equal(lines.length, 2)
    t.match(lines[0], {
      path: '/in?a=b',
      headers: { 'content-type': 'application/x-ndjson', authorization: 'Bearer operator' },
    })
    t.equal(lines[0]?.body.split('\n').length, 4)
    const projected = await sentAs(form('lines', 'application/x-ndjson'), 'gzip')
    t.equal(projected.length, 1, 'a batch of which nothing is left is not sent')
    t.equal(projected[0]?.headers['content-encoding'], 'gzip')
    t.equal(projected[0]?.body.trimEnd().split('\n').length, 2)
    const batch = await sentAs(form('array', 'application/cloudevents-batch+json'), 'gzip')
    const events: unknown = JSON.parse(batch[0]?.body ?? '')
    t.match(events, [{ event: { action: 'call-ended' } }, { event: { action: 'rules-loaded' } }])
    t.equal(batch[0]?.headers['content-type'], 'application/cloudevents-batch+json')
  },
)

void t.test('a wish to wait is passed on', (t) => {
  t.match(deliveryOf({ status: 429, afterMs: 2000 }), { outcome: 'later', afterMs: 2000 })
  t.match(deliveryOf({ status: 503, afterMs: undefined }), {
    outcome: 'later',
    detail: 'status 503',
  })
  t.match(deliveryOf({ status: 302, afterMs: undefined }), { outcome: 'refused' })
  t.end()
})
