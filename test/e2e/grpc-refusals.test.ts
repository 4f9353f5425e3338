// Refusals and failures of gRPC calls: answers of trailers alone, which its clients understand. Every refusal next to its
// allowed twin.

import grpc from '@grpc/grpc-js'
import t from 'tap'

import { collect, GrpcClient, talkScenario } from '../fixtures/grpc.ts'
import { until } from '../fixtures/scenario.ts'
import { makeTask, revoke } from '../fixtures/tasks.ts'

const { status } = grpc

talkScenario(
  t,
  'R41: a refused call is answered by trailers alone, and the next is served',
  async ({ cx, t, up, client }) => {
    const refused = await client.say({ text: 'x' }, { method: 'Secret' })
    t.equal(refused.code, status.PERMISSION_DENIED)
    t.match(refused.details, /^Sallyport: path-not-allowed: .*Do not retry.*\(call [0-9A-Z]{26}\)$/)
    t.match(
      String(refused.metadata?.get('proxy-status')),
      /sallyport; error=http_request_denied; reason=path-not-allowed/,
    )
    t.match(await client.say({ text: 'x' }), { code: 0 })
    const record = await cx.record(({ url }) => url?.path === '/test.Talk/Secret')
    t.match(record.event, { action: 'call-denied', reason: 'path-not-allowed' })
    t.equal(up.seen.length, 1, 'nothing of it left')
  },
)

talkScenario(
  t,
  'R41: a host that is not allowed is refused inside too',
  async ({ cx, t, up, client }) => {
    const other = new GrpcClient(cx, `other.test:${up.port}`)
    const refused = await other.say({ text: 'x' })
    t.match(refused, {
      code: status.PERMISSION_DENIED,
      details: /^Sallyport: not-on-allowlist: /,
    })
    other.close()
    t.match(await client.say({ text: 'x' }), { code: 0 })
  },
  { config: 'refusals: { connect: inside }' },
)

talkScenario(
  t,
  'R41: a limit that is used up is a refusal',
  async ({ t, client }) => {
    t.match(await client.say({ text: 'x' }), { code: 0 })
    const refused = await client.say({ text: 'x' })
    t.match(refused, {
      code: status.PERMISSION_DENIED,
      details: /^Sallyport: quota-exceeded: .*limit/,
    })
  },
  { keys: ', limit: { calls: 1 }' },
)

talkScenario(
  t,
  'R41: an upstream that does not accept connections is unavailable',
  async ({ t, up, client }) => {
    await up.close()
    t.match(await client.say({ text: 'x' }), {
      code: status.UNAVAILABLE,
      details: /^Sallyport: dial-failed: /,
    })
  },
)

talkScenario(
  t,
  'R41: an upstream that does not answer is late',
  async ({ t, client }) => {
    t.match(await client.say({ text: 'never' }), {
      code: status.DEADLINE_EXCEEDED,
      details: /^Sallyport: response-timeout: /,
    })
    t.match(await client.say({ text: 'x' }), { code: 0 })
  },
  { limits: 'responseTimeoutMs: 500' },
)

talkScenario(
  t,
  'I10: the end of a task ends its streams, on both sides',
  async ({ cx, t, up }) => {
    const task = await makeTask(cx)
    const other = await makeTask(cx)
    const authority = `grpc.test:${up.port}`
    const [ending, staying] = [task, other].map((as) => new GrpcClient(cx, authority, as))
    const stream = ending!.repeat({ text: 'open', times: 3 })
    const outcome = collect(stream)
    const stays = staying!.repeat({ text: 'open', times: 3 })
    let heard = 0
    for (const one of [stream, stays]) one.on('data', () => (heard += 1))
    stays.on('error', () => undefined)
    await until(() => heard === 6, 'both are open')
    await revoke(cx, task.id)
    const { code, texts } = await outcome
    t.not(code, 0)
    t.equal(texts.length, 3)
    await until(() => up.cancelled() === 1, 'the upstream is told')
    t.match(await staying!.say({ text: 'x' }), { code: 0 }, 'the other task goes on')
    ending!.close()
    staying!.close()
    await cx.record(({ event }) => event.reason === 'task-ended-midway')
  },
  { expires: null },
)
