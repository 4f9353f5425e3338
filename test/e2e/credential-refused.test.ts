// A credential that an upstream refuses: read anew and sent once more where there is another, once a call, and not where the
// request cannot be repeated; and one that was rotated, without a restart.

import { writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import {
  exchange,
  request,
  ruleSet,
  scenario,
  startSecure,
  type Scenario,
} from '../fixtures/scenario.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const OLD = 'canary-old-5b1f0d9c3a7e'
const NEW = 'canary-new-e7a3c9d0f1b5'
const OTHER = 'canary-env-1a2b3c4d5e6f'

void t.test('refused credentials', async (t) => {
  // Takes NEW alone; the file is written anew by the first request it refuses, as a rotation would just then.
  let file = ''
  let isRotating = false
  const upstream = await startSecure(['api.test'], ({ rawHeaders }) => {
    const isTaken = rawHeaders.includes(`Bearer ${NEW}`)
    if (!isTaken && isRotating) writeFileSync(file, NEW)
    return isTaken ? { body: 'welcome' } : { status: 401, body: 'who are you?' }
  })
  t.teardown(() => upstream.close())
  const host = `api.test:${upstream.port}`
  const config = `credentials:
  filed: { source: { file: filed.secret }, inject: { bearer: true }, hosts: ['${host}'] }
  set: { source: { env: SET }, inject: { header: { name: X-Key } }, hosts: ['${host}'] }
`
  const rules = ruleSet(
    `id: filed, allow: 'https://${host}', paths: ['/filed/**'], methods: [GET, POST], credential: filed, ${LOOPBACK}`,
    `id: limited, allow: 'https://${host}', paths: ['/limited/**'], methods: [POST], credential: filed, limit: { bytesOut: 2KiB }, ${LOOPBACK}`,
    `id: set, allow: 'https://${host}', paths: ['/set/**'], credential: set, ${LOOPBACK}`,
  )
  const options = {
    hosts: ['api.test'],
    config,
    rules,
    secrets: { SET: OTHER },
    files: { 'filed.secret': OLD },
    limits: 'repeatedBodyBytesMax: 4KiB',
  }
  const begin = (cx: Scenario, rotates: boolean): void => {
    file = path.join(cx.directory, 'filed.secret')
    writeFileSync(file, OLD)
    isRotating = rotates
    upstream.seen.length = 0
    cx.guard('old', OLD)
    cx.guard('new', NEW)
  }
  const call = async (cx: Scenario, target: string, body?: string): Promise<string> =>
    exchange(
      await cx.secure(host),
      request(body === undefined ? 'GET' : 'POST', target, host, {
        ...(body !== undefined && { body }),
      }),
    )
  const sentTo = (target: string): string[] =>
    upstream.seen.filter(({ url }) => url === target).map(({ body }) => String(body))

  scenario(
    t,
    'a 401 has the file read again and the call sent once more',
    options,
    async (cx, t) => {
      begin(cx, true)
      t.match(await call(cx, '/filed/get'), /^HTTP\/1\.1 200[^]*welcome/)
      t.equal(sentTo('/filed/get').length, 2)
      const { event, http } = await cx.record(({ url }) => url?.path === '/filed/get')
      t.match(
        { event, http },
        { event: { reason: 'allowed' }, http: { response: { status_code: 200 } } },
      )
      writeFileSync(file, OLD)
      t.match(await call(cx, '/filed/post', 'x'.repeat(3000)), /^HTTP\/1\.1 200/)
      t.strictSame(sentTo('/filed/post'), ['x'.repeat(3000), 'x'.repeat(3000)], 'with its body')
      const posted = await cx.record(({ url }) => url?.path === '/filed/post')
      t.equal(
        posted.destination?.bytes ?? posted.http?.request?.bytes,
        6000,
        'what left is counted',
      )
    },
  )

  scenario(
    t,
    'a 401 is passed on where the request cannot be repeated, or not again',
    options,
    async (cx, t) => {
      begin(cx, true)
      t.match(await call(cx, '/filed/large', 'x'.repeat(5000)), /^HTTP\/1\.1 401[^]*who are you/)
      t.equal(sentTo('/filed/large').length, 1, 'a body that was not kept')
      t.match(await call(cx, '/set/it'), /^HTTP\/1\.1 401/, 'a variable is what it was')
      t.equal(sentTo('/set/it').length, 1)
      begin(cx, false)
      for (let times = 0; times < 3; times += 1)
        t.match(await call(cx, '/filed/same'), /^HTTP\/1\.1 401/)
      t.equal(sentTo('/filed/same').length, 3, 'a file that is what it was')
      writeFileSync(file, NEW)
      t.match(await call(cx, '/filed/rotated'), /^HTTP\/1\.1 200/, 'rotated, without a 401')
      t.equal(sentTo('/filed/rotated').length, 1)
    },
  )

  scenario(t, 'what is sent once more counts against limits once more', options, async (cx, t) => {
    begin(cx, true)
    t.notMatch(await call(cx, '/limited/post', 'x'.repeat(1500)), /welcome/)
    const { event } = await cx.record(({ url }) => url?.path === '/limited/post')
    t.equal(event.reason, 'quota-exceeded')
    writeFileSync(file, NEW)
  })
})
