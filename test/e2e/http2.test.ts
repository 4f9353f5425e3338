// HTTP/2 inside an interception: every stream is a call of its own, whatever client speaks it.

import t from 'tap'

import { ask, openHttp2 } from '../fixtures/http2-client.ts'
import { ruleSet, scenario, startSecure } from '../fixtures/scenario.ts'

import type { Upstream } from '../fixtures/upstreams.ts'

let up: Upstream
const LOOPBACK = 'addresses: [127.0.0.0/8]'

scenario(
  t,
  'R41: a stream is a call',
  async () => {
    up = await startSecure(['up.test'])
    return {
      hosts: ['up.test'],
      rules: ruleSet(
        `id: up, allow: 'https://up.test:${up.port}', paths: ['/ok/**'], methods: [GET, POST, HEAD], ${LOOPBACK}`,
      ),
    }
  },
  async (cx, t) => {
    cx.track(up)
    const session = await openHttp2(cx, `up.test:${up.port}`)
    t.match(await ask(session, { ':path': '/ok/a' }), { status: 200 })
    t.match(await ask(session, { ':path': '/ok/a', ':method': 'POST' }, 'hello'), { status: 200 })
    t.match(await ask(session, { ':path': '/no' }), { status: 403 })
    t.match(await ask(session, { ':path': '/ok/a', ':method': 'HEAD' }), { status: 200 })
    session.close()
  },
)
