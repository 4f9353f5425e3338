// Refusals in the words of RFC 9209 and RFC 9457, one for every row of the table.

import t from 'tap'

import { REASONS, type Reason } from '../../../src/errors.ts'
import { problemBody, refusalHeaders } from '../../../src/wire/proxy-status.ts'

void t.test('a refusal is told in Proxy-Status and in a problem body', (t) => {
  t.equal(
    refusalHeaders('not-on-allowlist', 'text/plain')[1],
    'sallyport; error=http_request_denied; reason=not-on-allowlist',
  )
  t.same(JSON.parse(problemBody('not-on-allowlist', '01JCALL', 't_1')), {
    type: 'urn:sallyport:reason:not-on-allowlist',
    title: "destination not on this task's allowlist",
    status: 403,
    reason: 'not-on-allowlist',
    call: '01JCALL',
    task: 't_1',
    retry: 'no',
    remedy: "Do not retry. Ask the task's owner to add a rule for this destination.",
  })
  t.end()
})

void t.test('a caller without a task is told of none', (t) => {
  t.notMatch(problemBody('identity-missing', '01JCALL', undefined), /"task"/)
  t.end()
})

void t.test('every reason that is sent makes a well-formed field and body', (t) => {
  for (const [reason, { status }] of Object.entries(REASONS)) {
    if (status === 0 || !isReason(reason)) continue
    t.match(
      refusalHeaders(reason, 'text/plain')[1],
      /^sallyport; error=[a-z_]+; reason=[a-z0-9-]{1,32}$/,
    )
    t.match(JSON.parse(problemBody(reason, 'c', 't')), { status, reason, call: 'c', task: 't' })
  }
  t.end()
})

function isReason(text: string): text is Reason {
  return text in REASONS
}
