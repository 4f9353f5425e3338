import * as fc from 'fast-check'
import t from 'tap'

import {
  otlpRequest,
  projectOtlp,
  type OtlpLogRecord,
} from '../../../../src/record/project/otlp.ts'
import { anyValue } from '../../../../src/record/project/otlp-value.ts'
import { assertOtlp } from '../../../fixtures/otlp-check.ts'
import { hostileRecord, NOW, ORIGIN, SAMPLES, sample } from './samples.ts'

function attributesOf(projected: OtlpLogRecord): Record<string, unknown> {
  return Object.fromEntries(projected.attributes.map(({ key, value }) => [key, value]))
}

void t.test('R57: every record is a log record of OTLP under the published names', (t) => {
  for (const record of SAMPLES) {
    const projected = projectOtlp(record, ORIGIN)
    assertOtlp(projected)
    t.equal(projected.timeUnixNano, `${NOW}000000`)
    t.equal(projected.eventName, `sallyport.${record.event.action}`)
    t.match(attributesOf(projected), { 'log.record.uid': { stringValue: record.event.id } })
  }
  t.end()
})

void t.test('R57: a call is told in the words of the HTTP conventions', (t) => {
  t.match(attributesOf(projectOtlp(sample('call-ended', 'allowed'), ORIGIN)), {
    'http.request.method': { stringValue: 'GET' },
    'http.response.status_code': { intValue: '200' },
    'http.request.body.size': { intValue: '412' },
    'server.address': { stringValue: 'api.github.com' },
    'server.port': { intValue: '443' },
    'network.peer.address': { stringValue: '140.82.121.6' },
    'client.address': { stringValue: '127.0.0.1' },
    'user_agent.original': { stringValue: 'curl/8.5.0' },
    'security_rule.name': { stringValue: 'read-issues' },
    'sallyport.decision.verdict': { stringValue: 'allow' },
    'sallyport.chain.seq': { intValue: '3' },
    'sallyport.task.path': {
      arrayValue: { values: [{ stringValue: 't_01j00000000000000000000000' }] },
    },
  })
  t.end()
})

void t.test('R57: a question to a model keeps its trace, and a strange method its name', (t) => {
  const asked = SAMPLES.find(({ trace }) => trace !== undefined) ?? t.fail('no traced sample')
  if (typeof asked === 'boolean') return
  const projected = projectOtlp(asked, ORIGIN)
  t.equal(projected.traceId, '4bf92f3577b34da6a3ce929d0e0e4736')
  t.equal(projected.spanId, '00f067aa0ba902b7')
  t.match(attributesOf(projected), {
    'http.request.method': { stringValue: '_OTHER' },
    'http.request.method_original': { stringValue: 'PROPFIND' },
    'gen_ai.request.model': { stringValue: 'gpt-4o' },
    'gen_ai.request.stream': { boolValue: true },
    'gen_ai.usage.input_tokens': { intValue: '812' },
    'gen_ai.response.finish_reasons': { arrayValue: { values: [{ stringValue: 'stop' }] } },
  })
  t.end()
})

void t.test('R57: a call of a tool is told in the words of the MCP conventions', (t) => {
  const refused = projectOtlp(sample('message-denied'), ORIGIN)
  t.match(attributesOf(refused), {
    'mcp.method.name': { stringValue: 'tools/call' },
    'mcp.protocol.version': { stringValue: '2025-11-25' },
    'jsonrpc.request.id': { stringValue: '7' },
    'gen_ai.operation.name': { stringValue: 'execute_tool' },
    'gen_ai.tool.name': { stringValue: 'get_issue' },
    'error.type': { stringValue: 'tool-not-allowed' },
  })
  const failed = SAMPLES.find(({ error }) => error !== undefined)
  if (failed === undefined) throw new Error('no failed message')
  t.match(attributesOf(projectOtlp(failed, ORIGIN)), {
    'error.type': { stringValue: 'tool_error' },
  })
  t.end()
})

void t.test('R57: what is worse has a higher severity', (t) => {
  const severities = ['call-ended', 'call-denied', 'tool-definition-changed', 'identity-shared']
  t.strictSame(
    severities.map((action) => projectOtlp(sample(action), ORIGIN).severityText),
    ['INFO', 'INFO2', 'WARN', 'ERROR'],
  )
  t.end()
})

void t.test('R57: a request names the journal as the instance of the service', (t) => {
  const request = otlpRequest([projectOtlp(sample('call-ended'), ORIGIN)], ORIGIN)
  t.match(request, {
    resourceLogs: [
      {
        resource: {
          attributes: [
            { key: 'service.name', value: { stringValue: 'sallyport' } },
            { key: 'service.version', value: { stringValue: '0.1.0' } },
            { key: 'service.instance.id', value: { stringValue: ORIGIN.journal } },
          ],
        },
        scopeLogs: [{ scope: { name: 'sallyport', version: '0.1.0' }, logRecords: [{}] }],
      },
    ],
  })
  t.end()
})

void t.test('a value that is nested without end is cut, and one that is not is kept', (t) => {
  let deep: unknown = 'bottom'
  for (let level = 0; level < 100_000; level += 1) deep = [deep]
  t.match(JSON.stringify(anyValue(deep)), '…')
  t.strictSame(anyValue([[1.5, true]]), {
    arrayValue: {
      values: [{ arrayValue: { values: [{ doubleValue: 1.5 }, { boolValue: true }] } }],
    },
  })
  t.end()
})

void t.test('R57: no record makes it throw or leave the form, whoever chose its members', (t) => {
  fc.assert(
    fc.property(hostileRecord, (record) => {
      assertOtlp(projectOtlp(record, ORIGIN))
    }),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('what is no log record of OTLP is told from one', (t) => {
  const good = projectOtlp(sample('call-ended'), ORIGIN)
  t.doesNotThrow(() => assertOtlp(good))
  const bad: readonly object[] = [
    { ...good, timeUnixNano: 17 },
    { ...good, traceId: 'ABC' },
    { ...good, severityNumber: 0 },
    { ...good, extra: 1 },
    { ...good, attributes: [...good.attributes, ...good.attributes] },
    { ...good, attributes: [{ key: 'http.method', value: { stringValue: 'GET' } }] },
    { ...good, attributes: [{ key: 'server.port', value: { stringValue: '443' } }] },
    { ...good, attributes: [{ key: 'sallyport.x', value: { intValue: 3 } }] },
  ]
  for (const record of bad) t.throws(() => assertOtlp(record))
  t.end()
})
