// Proves the signatures of webhooks, both ways, by the example that Standard Webhooks gives.

import t from 'tap'

import { readWebhookKey, signWebhook, verifyWebhook } from '../../../src/wire/signed-webhook.ts'

const key = readWebhookKey('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
const message = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: 1_614_265_330,
  body: '{"test": 2432232314}',
}

void t.test('what is signed is what the standard signs', (t) => {
  t.strictSame(signWebhook(key, message), {
    'webhook-id': message.id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  })
  t.end()
})

void t.test('only what the key signed, about now, is taken', (t) => {
  const fields = signWebhook(key, message)
  const now = message.timestamp
  t.equal(verifyWebhook(key, fields, message.body, now + 299), message.id)
  const several = `v1,AAAA ${fields['webhook-signature']}`
  t.equal(
    verifyWebhook(key, { ...fields, 'webhook-signature': several }, message.body, now),
    message.id,
  )
  for (const [what, wrong] of Object.entries({
    body: verifyWebhook(key, fields, `${message.body} `, now),
    key: verifyWebhook(readWebhookKey('another key of some length'), fields, message.body, now),
    late: verifyWebhook(key, fields, message.body, now + 301),
    early: verifyWebhook(key, fields, message.body, now - 301),
    id: verifyWebhook(key, { ...fields, 'webhook-id': 'other' }, message.body, now),
    noId: verifyWebhook(key, { ...fields, 'webhook-id': undefined }, message.body, now),
    time: verifyWebhook(key, { ...fields, 'webhook-timestamp': `${now + 1}` }, message.body, now),
    noTime: verifyWebhook(key, { ...fields, 'webhook-timestamp': '1e9' }, message.body, now),
    none: verifyWebhook(key, {}, message.body, now),
    version: verifyWebhook(
      key,
      { ...fields, 'webhook-signature': (fields['webhook-signature'] ?? '').replace('v1', 'v2') },
      message.body,
      now,
    ),
  }))
    t.equal(wrong, undefined, what)
  t.end()
})
