import * as fc from 'fast-check'
import t from 'tap'

import type { RecordBody } from '../../../../src/record/body.ts'
import { projectOcsf } from '../../../../src/record/project/ocsf.ts'
import { ocsfProblems } from '../../../fixtures/ocsf-validator.ts'
import { hostileRecord, NOW, ORIGIN, SAMPLES, sample } from './samples.ts'

function project(record: RecordBody): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(projectOcsf(record, ORIGIN)))
}

void t.test('R57: every record is an event of OCSF 1.8.0', (t) => {
  for (const record of SAMPLES) {
    const { action, reason } = record.event
    t.strictSame(ocsfProblems(projectOcsf(record, ORIGIN)), [], `${action} ${reason ?? ''}`)
    t.match(project(record), {
      time: NOW,
      metadata: {
        version: '1.8.0',
        uid: record.event.id,
        sequence: record.sallyport.chain?.seq,
        event_code: action,
      },
    })
  }
  t.end()
})

void t.test('R57: records become the classes that the words of the schema ask for', (t) => {
  const classes: readonly [string, string | undefined, number, number][] = [
    ['call-ended', 'allowed', 4002, 3],
    ['call-ended', 'resolve-failed', 4003, 1],
    ['call-ended', 'resolved-address-denied', 4003, 2],
    ['call-denied', 'not-on-allowlist', 4002, 3],
    ['call-denied', 'identity-missing', 3002, 1],
    ['call-denied-repeated', undefined, 4001, 5],
    ['dns-denied', 'not-on-allowlist', 4003, 1],
    ['dns-denied-repeated', undefined, 4003, 6],
    ['message-allowed', undefined, 6003, 99],
    ['message-denied', undefined, 6003, 99],
    ['task-created', undefined, 3004, 1],
    ['task-suspended', undefined, 3004, 12],
    ['task-ended', undefined, 3004, 4],
    ['owner-disabled', undefined, 3004, 9],
    ['rules-loaded', undefined, 3004, 3],
    ['control-changed', undefined, 6003, 3],
    ['placeholder-misused', undefined, 2004, 1],
    ['identity-shared', undefined, 2004, 1],
    ['denial-storm', undefined, 2004, 1],
    ['journal-recovered', undefined, 6002, 99],
    ['an-action-of-tomorrow', undefined, 6002, 99],
  ]
  for (const [action, reason, classUid, activity] of classes)
    t.match(
      project(sample(action, reason)),
      { class_uid: classUid, activity_id: activity, type_uid: classUid * 100 + activity },
      `${action} ${reason ?? ''}`,
    )
  t.end()
})

void t.test(
  'R57: a tunnel that nothing looks into is Network Activity, one around calls a CONNECT',
  (t) => {
    const tunnels = SAMPLES.filter(({ sallyport }) => sallyport.call?.kind === 'tunnel').map(
      project,
    )
    t.match(tunnels, [
      {
        class_uid: 4001,
        activity_name: 'Close',
        dst_endpoint: { hostname: 'db.example.com', port: 5432 },
      },
      { class_uid: 4002, activity_name: 'Connect', http_request: { http_method: 'CONNECT' } },
    ])
    t.end()
  },
)

void t.test(
  'R57: who acted, what was decided and by which rule stand in their own objects',
  (t) => {
    t.match(project(sample('call-ended', 'allowed')), {
      actor: {
        user: {
          uid: 'triage-bot/7f3a',
          name: 'triage-bot',
          type_id: 4,
          org: { ou_name: 'payments' },
        },
        session: { uid: 't_01j00000000000000000000000', credential_uid: 'github' },
      },
      src_endpoint: { ip: '127.0.0.1', port: 50112, uid: 'c0ffee' },
      dst_endpoint: { hostname: 'api.github.com', ip: '140.82.121.6', port: 443 },
      http_request: { http_method: 'GET', user_agent: 'curl/8.5.0' },
      http_response: { code: 200, body_length: 9120 },
      tls: { version: '1.3', sni: 'api.github.com' },
      proxy_endpoint: { uid: ORIGIN.journal },
      action_id: 1,
      disposition_id: 1,
      firewall_rule: { uid: 'github-triage/read-issues', name: 'read-issues' },
      policy: { uid: `sha256:${'c'.repeat(64)}`, name: 'github-triage' },
      duration: 41,
      metadata: {
        correlation_uid: 't_01j00000000000000000000000',
        profiles: ['host', 'network_proxy', 'security_control'],
      },
      unmapped: { sallyport: { chain: { seq: 3 } } },
    })
    t.match(project(sample('call-denied', 'not-on-allowlist')), {
      action_id: 2,
      disposition: 'Blocked',
      status: 'Failure',
      status_detail: 'not-on-allowlist',
      severity: 'Low',
    })
    t.end()
  },
)

void t.test('R57: a question to a model names the model and its tokens', (t) => {
  const asked = SAMPLES.find((record) => record.gen_ai?.usage !== undefined)
  t.match(asked && project(asked), {
    class_uid: 6003,
    activity_name: 'chat',
    ai_model: { name: 'gpt-4o-2024-08-06', ai_provider: 'openai' },
    message_context: { prompt_tokens: 812, completion_tokens: 96, total_tokens: 908 },
    trace: { uid: '4bf92f3577b34da6a3ce929d0e0e4736' },
    metadata: { profiles: ['ai_operation', 'security_control', 'trace'] },
  })
  t.end()
})

void t.test(
  'R57: the class of data is on the resource of a message, and among the tags of every event',
  (t) => {
    const record = sample('message-allowed')
    const { decision } = record.sallyport
    if (decision === undefined) throw new Error('no decision')
    const data = 'confidential' as const
    const classified = {
      ...record,
      sallyport: { ...record.sallyport, decision: { ...decision, data, regulation: ['gdpr'] } },
    }
    t.strictSame(ocsfProblems(projectOcsf(classified, ORIGIN)), [])
    t.match(project(classified), {
      resources: [
        {
          name: 'get_issue',
          data_classifications: [{ confidentiality_id: 2, confidentiality: 'Confidential' }],
        },
      ],
      metadata: {
        tags: [
          { name: 'data_class', value: 'confidential' },
          { name: 'regulation', values: ['gdpr'] },
        ],
        profiles: ['ai_operation', 'data_classification', 'security_control'],
      },
    })
    t.end()
  },
)

void t.test('R57: a detection names its techniques and the calls that explain it', (t) => {
  t.match(project(sample('denial-storm')), {
    finding_info: {
      title: 'denial-storm',
      types: ['denial-storm', 'ASI02'],
      attacks: [{ technique: { uid: 'AML.T0086' } }, { technique: { uid: 'AML.T0034.002' } }],
      related_events: [{ uid: '01JCALL0000000000000000000' }],
    },
    attacks: [{ technique: { uid: 'AML.T0086' } }, {}],
    is_alert: true,
    status: 'New',
  })
  t.end()
})

void t.test('R57: no record makes it throw or leave the schema, whoever chose its members', (t) => {
  fc.assert(
    fc.property(hostileRecord, (record) => {
      const problems = ocsfProblems(projectOcsf(record, ORIGIN))
      if (problems.length > 0) throw new Error(problems.join('\n'))
    }),
    { numRuns: 3000 },
  )
  t.end()
})

void t.test('what is no event of OCSF is told from one', (t) => {
  const good = project(sample('call-ended', 'allowed'))
  t.strictSame(ocsfProblems(good), [])
  const { metadata: _, ...unversioned } = good
  const broken: readonly [object, string][] = [
    [{ ...good, class_uid: 4711 }, 'class_uid'],
    [{ ...good, activity_id: 42 }, 'activity_id'],
    [{ ...good, type_uid: 400_201 }, 'type_uid'],
    [{ ...good, severity: 'Grave' }, 'severity'],
    [{ ...good, status_id: 7 }, 'status_id'],
    [{ ...good, time: 'now' }, 'time'],
    [{ ...good, made_up: 1 }, 'made_up'],
    [{ ...good, http_status: 200 }, 'http_status'],
    [{ ...good, http_response: {} }, 'http_response.code'],
    [{ ...good, src_endpoint: { port: 1 } }, 'src_endpoint.'],
    [{ ...good, src_endpoint: { ip: 'localhost' } }, 'src_endpoint.ip'],
    [{ ...good, http_request: { http_method: 'BREW' } }, 'http_request.http_method'],
    [{ ...good, action: 'Denied' }, 'action'],
    [{ ...good, trace: { uid: 'x' } }, 'metadata.profiles'],
    [{ ...good, file: { name: 'x' } }, 'file'],
    [unversioned, 'metadata'],
  ]
  for (const [event, path] of broken)
    t.ok(
      ocsfProblems(event).some((problem) => problem.startsWith(path)),
      path,
    )
  t.end()
})
