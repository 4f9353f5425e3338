import t from 'tap'

import type { Reason } from '../../../src/errors.ts'
import { callRecord, crashedCallRecord, eventRecord } from '../../../src/record/ecs.ts'
import { facts, TASK } from './support.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

/** The record as a reader of the journal sees it. */
function read(record: object): Read {
  return JSON.parse(JSON.stringify(record))
}

type Read = Record<string, Record<string, unknown>>

void t.test('the record of an ended call has the shape of the contract', (t) => {
  const record = read(callRecord(facts(), 'call-ended', NOW))
  const { event = {}, ...rest } = record
  t.match(event['id'], /^[0-9A-HJKMNP-TV-Z]{26}$/)
  t.strictSame(
    { ...event, id: '' },
    {
      id: '',
      kind: 'event',
      category: ['network', 'web'],
      action: 'call-ended',
      type: ['allowed', 'end'],
      outcome: 'success',
      reason: 'allowed',
      duration: 41_200_000,
    },
  )
  t.strictSame(rest, {
    '@timestamp': '2026-01-02T03:04:05.678Z',
    ecs: { version: '9.1.0' },
    rule: { id: 'read-issues', ruleset: 'github-triage', version: `sha256:${'b'.repeat(64)}` },
    source: { ip: '127.0.0.1', port: 50112 },
    destination: { domain: 'api.github.com', ip: '140.82.121.6', port: 443 },
    url: {
      full: 'https://api.github.com/repos/acme/widgets/issues?',
      scheme: 'https',
      domain: 'api.github.com',
      port: 443,
      path: '/repos/acme/widgets/issues',
      query: '',
    },
    http: {
      version: '1.1',
      request: { id: '01JCALL0000000000000000000', method: 'GET', bytes: 412 },
      response: { status_code: 200, bytes: 9120, mime_type: 'application/json' },
    },
    tls: { established: true, version: '1.3', client: { server_name: 'api.github.com' } },
    user_agent: { original: 'curl/8.5.0' },
    sallyport: {
      schema: 1,
      mode: 'enforce',
      call: {
        id: '01JCALL0000000000000000000',
        kind: 'intercepted',
        parent: '01JTUNNEL00000000000000000',
      },
      task: {
        id: TASK.id,
        path: [TASK.id],
        agent: 'triage-bot',
        instance: 'triage-bot/7f3a',
        owner: 'payments on-call',
        team: 'payments',
        sandbox: 'c0ffee',
        intent: `sha256:${'a'.repeat(64)}`,
        autonomous: true,
        posture: { proofs: [], environment: 'prod', ceiling: 'confidential' },
      },
      decision: {
        id: '01JDECISION000000000000000',
        verdict: 'allow',
        reason: 'allowed',
        policy: `sha256:${'c'.repeat(64)}`,
        us: 38,
      },
      credential: { name: 'github', action: 'injected' },
      inspection: 'full',
      upstream: { tls: '1.3' },
    },
  })
  t.equal(Object.keys(callRecord(facts(), 'call-ended', NOW)).at(-1), 'sallyport')
  t.end()
})

void t.test('R70: who asked whom is told from the root down, and on whose behalf', (t) => {
  const above = {
    task: 't_0',
    agent: 'planner',
    instance: 'planner/1',
    owner: 'ann',
    intent: 'sha256:1',
  }
  const task = {
    ...TASK,
    path: ['t_0', TASK.id],
    delegation: [above],
    principal: 'ann@example.com',
  }
  const { sallyport } = read(callRecord(facts({ task }), 'call-ended', NOW))
  t.match(sallyport?.['task'], {
    path: ['t_0', TASK.id],
    delegation: [above],
    principal: 'ann@example.com',
    autonomous: false,
  })
  t.end()
})

void t.test('type and outcome follow the action and the reason', (t) => {
  const of = (action: Parameters<typeof callRecord>[1], reason: Reason = 'allowed'): unknown[] => {
    const { event } = callRecord(facts({ reason }), action, NOW)
    return [...event.type, event.outcome, event.reason, event.duration]
  }
  t.strictSame(of('call-started'), ['allowed', 'start', 'unknown', 'allowed', undefined])
  t.strictSame(of('call-progress'), ['allowed', 'info', 'unknown', 'allowed', 41_200_000])
  t.strictSame(of('call-ended', 'dial-failed'), [
    'allowed',
    'end',
    'failure',
    'dial-failed',
    41_200_000,
  ])
  t.strictSame(of('call-denied', 'not-on-allowlist'), [
    'denied',
    'failure',
    'not-on-allowlist',
    41_200_000,
  ])
  t.end()
})

void t.test(
  'what is not known is absent: a refused first byte has neither task nor target',
  (t) => {
    const record = read(
      callRecord(
        {
          id: 'C',
          kind: 'forward',
          mode: 'enforce',
          startedAt: 0,
          durationNs: 1,
          client: {},
          reason: 'malformed-request-line',
          inspection: 'full',
        },
        'call-denied',
        NOW,
      ),
    )
    t.strictSame(Object.keys(record), ['@timestamp', 'ecs', 'event', 'sallyport'])
    t.strictSame(record['sallyport'], {
      schema: 1,
      mode: 'enforce',
      call: { id: 'C', kind: 'forward' },
      inspection: 'full',
    })
    t.end()
  },
)

void t.test('addresses, ports and bytes beyond ASCII are written in one way', (t) => {
  const at = (host: string, kind: 'name' | 'ipv4' | 'ipv6', port: number, scheme = 'https') =>
    read(
      callRecord(
        facts({
          target: {
            scheme,
            endpoint: { host, kind, port, literal: host },
            path: '/\u00ff\u00e9',
            query: 'q=\u00e4',
          },
          upstream: { address: '2001:db8::2', port },
        }),
        'call-ended',
        NOW,
      ),
    )
  t.equal(at('2001:db8::1', 'ipv6', 443)['url']?.['full'], 'https://[2001:db8::1]/%FF%E9?q=%E4')
  t.equal(at('2001:db8::1', 'ipv6', 8443)['url']?.['domain'], '[2001:db8::1]')
  t.equal(at('10.0.0.1', 'ipv4', 80, 'http')['url']?.['full'], 'http://10.0.0.1/%FF%E9?q=%E4')
  t.equal(at('a.test', 'name', 8443)['url']?.['full'], 'https://a.test:8443/%FF%E9?q=%E4')
  t.strictSame(at('a.test', 'name', 443)['destination'], {
    domain: 'a.test',
    ip: '2001:db8::2',
    port: 443,
  })
  const { upstream: _upstream, ...undialed } = facts({
    kind: 'tunnel',
    target: {
      scheme: 'tcp',
      endpoint: { host: '10.0.0.1', kind: 'ipv4', port: 22, literal: '10.0.0.1' },
    },
  })
  const literal = read(callRecord(undialed, 'call-denied', NOW))
  t.strictSame(literal['destination'], { ip: '10.0.0.1', port: 22 })
  t.strictSame(literal['url'], {
    full: 'tcp://10.0.0.1:22',
    scheme: 'tcp',
    domain: '10.0.0.1',
    port: 22,
  })
  t.strictSame(literal['event']?.['category'], ['network'])
  t.end()
})

void t.test('a user agent is cut to what stores index', (t) => {
  const request = { method: 'GET', version: '1.1', bytes: 1, userAgent: 'x'.repeat(5000) }
  t.equal(callRecord(facts({ request }), 'call-ended', NOW).user_agent?.original.length, 1024)
  t.end()
})

void t.test(
  'an event takes the usual category of its action, and what it is given instead',
  (t) => {
    const usual = read(
      eventRecord('placeholder-misused', {
        now: NOW,
        task: TASK,
        callId: 'C',
        credential: 'github',
        reason: 'placeholder-misused',
        endpoint: { host: 'a.test', kind: 'name', port: 443, literal: 'a.test' },
        detail: { place: 'body' },
      }),
    )
    t.match(usual['event'], {
      kind: 'alert',
      category: ['intrusion_detection'],
      type: ['denied'],
      outcome: 'failure',
      reason: 'placeholder-misused',
    })
    t.match(usual['sallyport'], {
      call: { id: 'C' },
      task: { id: TASK.id },
      credential: { name: 'github' },
      detail: { place: 'body' },
    })
    t.strictSame(usual['destination'], { domain: 'a.test', port: 443 })
    const own = eventRecord('anything', {
      now: NOW,
      category: ['host'],
      type: ['change'],
      kind: 'alert',
      outcome: 'unknown',
      message: 'hello',
    })
    t.match(own, {
      message: 'hello',
      event: { category: ['host'], type: ['change'], kind: 'alert', outcome: 'unknown' },
    })
    t.end()
  },
)

void t.test('a call that was open at a crash ends with nobody knowing how', (t) => {
  const started = JSON.parse(JSON.stringify(callRecord(facts(), 'call-started', NOW)))
  started.sallyport.chain = { seq: 7, prev: 'x' }
  const ended = crashedCallRecord(started, NOW + 1000)
  t.match(ended.event, {
    action: 'call-ended',
    type: ['allowed', 'end'],
    outcome: 'unknown',
    reason: 'sidecar-crashed',
  })
  t.not(ended.event.id, started.event.id)
  t.equal(ended['@timestamp'], '2026-01-02T03:04:06.678Z')
  t.equal(ended.sallyport.chain, undefined)
  t.equal(Object.keys(ended).at(-1), 'sallyport')
  t.equal(ended.url?.full, started.url.full)
  t.end()
})
