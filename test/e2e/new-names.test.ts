// Proves that an agent cannot have names resolved as fast as it likes: names that wildcards let it choose are counted before
// any resolver is asked, whatever way the call goes.

import t from 'tap'

import { startDnsServer } from '../fixtures/dns.ts'
import { ruleSet, scenario } from '../fixtures/scenario.ts'
import { getAs, makeTask, revoke, type MadeTask } from '../fixtures/tasks.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const up = await startHttp({ handler: () => ({ body: 'ok' }) })
const echo = await startEcho()
const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => `${name}.wild.test`)
const here = { addresses: ['127.0.0.1'], ttlSeconds: 60 }
const dns = await startDnsServer(
  Object.fromEntries([...names, 'exact.test', 'x.tunnel.test'].map((name) => [name, [here]])),
)
t.teardown(() => Promise.all([up, echo, dns].map((each) => each.close())))

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const rules = ruleSet(
  `id: wild, allow: 'http://*.wild.test:${up.port}', ${LOOPBACK}`,
  `id: tunnel, allow: 'tcp://*.tunnel.test:${echo.port}', ${LOOPBACK}`,
  `id: exact, allow: 'http://exact.test:${up.port}', ${LOOPBACK}`,
)
const config = `upstream: { ca: [upstream-ca.pem], resolver: ['127.0.0.1:${dns.port}'], hosts: { fixed.wild.test: [127.0.0.1] } }`
const LIMITS = 'newNamesPerMinute: 3, dnsCacheMs: 1ms'
const url = (name: string): string => `http://${name}:${up.port}`
const statusOf = (answer: string): number => Number(answer.split(' ', 2)[1])

scenario(
  t,
  'R36: newNamesPerMinute: names of an agent’s choice are resolved so many a minute',
  { rules, config, limits: LIMITS },
  async (cx, t) => {
    const ask = async (name: string): Promise<number> =>
      statusOf(await getAs(cx, undefined, url(name)))
    t.equal(await ask('a.wild.test'), 200)
    t.equal(await ask('b.wild.test'), 200)
    t.equal(await ask('gone.wild.test'), 502, 'one that does not exist counts as well')
    const answer = await getAs(cx, undefined, url('c.wild.test'))
    t.match(answer, /^HTTP\/1.1 429 Sallyport: quota-exceeded\r\n/)
    const seconds = Number(/\r\nRetry-After: (\d+)\r\n/.exec(answer)?.[1])
    t.ok(seconds >= 1 && seconds <= 61, `${seconds} s`)
    t.equal(dns.count('c.wild.test'), 0, 'nobody was asked')
    const { event, sallyport } = await cx.record((one) => one.event.reason === 'quota-exceeded')
    t.equal(event.outcome, 'failure')
    t.strictSame(sallyport.detail, { limit: 'newNamesPerMinute', max: 3 })
    await t.rejects(cx.connect(`x.tunnel.test:${echo.port}`), /429/, 'a tunnel as well')
    t.equal(dns.count('x.tunnel.test'), 0)
    t.equal(await ask('a.wild.test'), 200, 'known ones go on')
    t.equal(await ask('exact.test'), 200, 'so do names that rules write')
    t.equal(await ask('fixed.wild.test'), 200, 'and those with a fixed answer')
  },
)

scenario(
  t,
  'R36: a task and those below it count together',
  { rules, config, limits: LIMITS, expires: null },
  async (cx, t) => {
    const root = await makeTask(cx)
    const child = await makeTask(cx, { expires: '10m' }, root.id)
    const ask = async (task: MadeTask, name: string): Promise<number> =>
      statusOf(await getAs(cx, task, url(name)))
    t.equal(await ask(root, 'e.wild.test'), 200)
    t.equal(await ask(child, 'f.wild.test'), 200)
    t.equal(await ask(child, 'g.wild.test'), 200)
    t.equal(await ask(root, 'h.wild.test'), 429)
    t.equal(await ask(child, 'h.wild.test'), 429)
    t.equal(dns.count('h.wild.test'), 0)
    const { items } = await revoke(cx, root.id)
    t.match(
      items.find(({ kind }) => kind === 'dns'),
      { outcome: 'ended', count: 1 },
    )
    const other = await makeTask(cx)
    t.equal(await ask(other, 'h.wild.test'), 200, 'another tree')
  },
)
