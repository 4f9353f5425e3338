// Proves of each detection that it is raised when it should be and not before, that what it names adds up to what it says,
// and that its ids are those of the frameworks.

import { readFileSync } from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'

import { Call } from '../../../../src/call.ts'
import type { RecordBody } from '../../../../src/record/body.ts'
import { DETECTIONS, type DetectionName } from '../../../../src/record/detect/detections.ts'
import type { Task } from '../../../../src/tasks/task.ts'
import { freshDir, messageCall, openDetection, TASK } from '../support.ts'

interface Framework {
  readonly entries: Readonly<Record<string, string>>
}

const frameworks: { asi: Framework; atlas: Framework } = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../../../fixtures/frameworks.json'), 'utf8'),
)

void t.test(
  'R84: each shipped detection has an id that exists in the pinned framework data',
  (t) => {
    for (const [name, { asi, threat }] of Object.entries(DETECTIONS)) {
      t.ok(asi.length > 0 && threat.technique.id.length > 0, `${name} has ids of both`)
      for (const id of asi) t.ok(Object.hasOwn(frameworks.asi.entries, id), `${name}: ${id}`)
      t.strictSame(
        threat.technique.name,
        threat.technique.id.map((id) => frameworks.atlas.entries[id]),
        `${name}: ${threat.technique.id.join(' ')}`,
      )
    }
    t.end()
  },
)

function watch(t: Test, limits: Parameters<typeof openDetection>[0]['limits'] = {}) {
  const stateDir = freshDir(t)
  const clock = { now: 1_700_000_000_000 }
  const records: RecordBody[] = []
  const open = () =>
    openDetection({
      stateDir,
      append: (record) => records.push(record),
      now: () => clock.now,
      limits,
    })
  const of = (action: string): RecordBody[] =>
    records.filter(({ event }) => event.action === action)
  return { clock, records, open, of }
}

function callTo(id: string, host: string, task: Task = TASK, port = 443): Call {
  const call: Call = new Call({ id, kind: 'tunnel', startedAt: 0, client: {} })
  call.tunnel = { host, kind: 'name', port, literal: host }
  call.tunnelMode = 'tls'
  call.task = task
  return call
}

void t.test(
  'a storm of refusals is told when it begins, and its end with the exact number',
  (t) => {
    const { clock, of, open } = watch(t, { denialStormCount: 5, denialStormMs: 1000 })
    const { detector, detected, close } = open()
    for (let at = 0; at < 4; at += 1) detector.noteDenial(TASK, 'not-on-allowlist', `A${at}`, true)
    t.strictSame(of('denial-storm'), [], 'not yet')
    clock.now += 1000
    for (let at = 0; at < 4; at += 1) detector.noteDenial(TASK, 'not-on-allowlist', `B${at}`, true)
    t.strictSame(of('denial-storm'), [], 'never as many within one window')
    detector.noteDenial(TASK, 'path-not-allowed', 'B4', true)
    for (let at = 5; at < 100; at += 1)
      detector.noteDenial(TASK, 'not-on-allowlist', `B${at}`, at < 50)
    t.match(of('denial-storm'), [
      {
        event: { kind: 'alert', category: ['intrusion_detection'] },
        threat: { framework: 'MITRE ATLAS', technique: { id: ['AML.T0053'] } },
        sallyport: {
          task: { id: TASK.id },
          detection: {
            name: 'denial-storm',
            severity: 'medium',
            asi: ['ASI02', 'ASI10'],
            calls: ['B0', 'B1', 'B2', 'B3', 'B4'],
            count: 5,
          },
          detail: { reasons: { 'not-on-allowlist': 4, 'path-not-allowed': 1 } },
        },
      },
    ])
    t.strictSame(detected, ['denial-storm'])
    clock.now += 1000
    detector.noteDenial(TASK, 'not-on-allowlist', 'C', true)
    clock.now += 1000
    detector.noteDenial(TASK, 'not-on-allowlist', 'D', true)
    t.match(of('denial-storm-ended'), [
      {
        event: { kind: 'event' },
        sallyport: {
          detection: {
            calls: ['B0', 'B1', 'B2', 'B3', 'B4', 'B46', 'B47', 'B48', 'B49', 'C'],
            count: 101,
          },
          detail: {
            reasons: { 'not-on-allowlist': 100, 'path-not-allowed': 1 },
            from: '2023-11-14T22:13:21.000Z',
          },
        },
      },
    ])
    close()
    t.equal(of('denial-storm-ended').length, 1)
    t.end()
  },
)

void t.test('what others do with its credential is not the storm of a task', (t) => {
  const { of, open } = watch(t, { denialStormCount: 3 })
  const { detector, close } = open()
  for (const id of ['A', 'B', 'C']) detector.noteDenial(TASK, 'identity-shared', id, true)
  t.match(of('denial-storm'), [{ sallyport: { task: undefined, detection: { count: 3 } } }])
  close()
  t.end()
})

void t.test('a storm ends by itself', async (t) => {
  const records: RecordBody[] = []
  const { detector, close } = openDetection({
    stateDir: freshDir(t),
    append: (record) => records.push(record),
    now: Date.now,
    limits: { denialStormCount: 2, denialStormMs: 20 },
  })
  detector.noteDenial(TASK, 'killed', 'A', true)
  detector.noteDenial(TASK, 'killed', 'B', true)
  while (records.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  t.match(records, [
    { event: { action: 'denial-storm' } },
    { event: { action: 'denial-storm-ended' }, sallyport: { detection: { count: 2 } } },
  ])
  close()
})

void t.test('a destination is told once an agent, over tasks and restarts', (t) => {
  const { clock, of, open } = watch(t)
  const first = open()
  const alerts = (): unknown[] => of('first-seen-destination')
  first.detector.noteStart(callTo('A', 'a.test'))
  t.match(alerts(), [
    {
      event: { kind: 'alert', outcome: 'unknown' },
      destination: { domain: 'a.test', port: 443 },
      sallyport: {
        call: { id: 'A' },
        detection: { severity: 'low', calls: ['A'], count: 1 },
        detail: { agent: TASK.agent.account },
      },
    },
  ])
  first.detector.noteStart(callTo('B', 'a.test'))
  t.equal(alerts().length, 1, 'known')
  first.detector.noteStart(callTo('C', 'b.test'))
  first.detector.noteStart(callTo('D', 'a.test', TASK, 8443))
  t.equal(alerts().length, 1, 'an agent that is new itself raises no storm')
  first.close()
  t.match(of('first-seen-destination-repeated'), [
    {
      event: { kind: 'alert' },
      sallyport: {
        detection: { name: 'first-seen-destination', calls: ['C', 'D'], count: 2 },
        detail: { count: 2, about: ['b.test:443', 'a.test:8443'] },
      },
    },
  ])

  clock.now += 3_600_000
  const second = open()
  second.detector.noteStart(callTo('E', 'b.test', { ...TASK, id: 't_other', path: ['t_other'] }))
  t.equal(alerts().length, 1, "another task of the same agent, after a restart: it is the agent's")
  second.detector.noteStart(callTo('F', 'c.test'))
  t.equal(alerts().length, 2)
  const other = { account: 'other-bot', instance: 'other-bot/1' }
  second.detector.noteStart(callTo('G', 'a.test', { ...TASK, agent: other }))
  t.equal(alerts().length, 3, 'another agent was never there')
  const inspected = callTo('H', 'd.test')
  inspected.tunnelMode = 'inspect'
  second.detector.noteStart(inspected)
  t.equal(alerts().length, 3, 'an inspected tunnel goes nowhere by itself')
  second.close()
  t.end()
})

void t.test(
  'what was not used for longest is forgotten, and the file does not grow for ever',
  (t) => {
    const { clock, of, open } = watch(t, { destinationsRemembered: 2, alertsPerTask: 10_000 })
    const { detector, close } = open()
    detector.noteStart(callTo('A', 'a.test'))
    clock.now += 3_600_000
    for (let at = 0; at < 3000; at += 1) {
      detector.noteStart(callTo(`N${at}`, `n${at}.test`))
      detector.noteStart(callTo('A', 'a.test'))
    }
    close()
    t.equal(of('first-seen-destination').length, 3001)
    const again = open()
    again.detector.noteStart(callTo('A', 'a.test'))
    again.detector.noteStart(callTo('N', 'n2999.test'))
    t.equal(of('first-seen-destination').length, 3001, 'the two that were used last are known')
    again.close()
    t.end()
  },
)

void t.test('much that leaves in little time is told once a window, and adds up', (t) => {
  const { clock, of, open } = watch(t, { bytesOutSpikeBytes: 1000, bytesOutSpikeMs: 10_000 })
  const { detector, close } = open()
  const sent = (id: string, bytes: number): void => {
    const call = messageCall(id)
    call.bytesOut = bytes
    detector.noteBytes(call, true)
  }
  sent('A', 600)
  sent('B', 400)
  t.strictSame(of('bytes-out-spike'), [], 'as much as may be')
  clock.now += 10_000
  sent('C', 600)
  t.strictSame(of('bytes-out-spike'), [], 'not within one window')
  const long = messageCall('D')
  long.bytesOut = 300
  detector.noteBytes(long, false)
  long.bytesOut = 400
  detector.noteBytes(long, false)
  t.strictSame(of('bytes-out-spike'), [], 'bytes of an open call are counted once')
  long.bytesOut = 401
  detector.noteBytes(long, true)
  t.match(of('bytes-out-spike'), [
    {
      sallyport: {
        detection: { severity: 'medium', calls: ['C', 'D'], count: 4 },
        detail: { bytes: 1001, largest: { call: 'C', bytes: 600 } },
      },
    },
  ])
  sent('E', 5000)
  t.equal(of('bytes-out-spike').length, 1)
  clock.now += 10_000
  sent('F', 5000)
  t.equal(of('bytes-out-spike').length, 2, 'again in the next window')
  close()
  t.end()
})

void t.test(
  'R59: alerts beyond the number are told in one, a kind and task at a time, exactly',
  (t) => {
    const { clock, records, of, open } = watch(t, { alertsPerTask: 3, alertFoldMs: 1000 })
    const { alerts, detected, close } = open()
    const raise = (name: DetectionName, at: number, task?: Task): void =>
      alerts.raise({ name, task, calls: [`${at}`], count: 1, about: `${at % 30}` })
    for (let at = 0; at < 100_000; at += 1) raise('placeholder-misused', at, TASK)
    raise('identity-shared', 1, TASK)
    raise('placeholder-misused', 1, undefined)
    t.equal(records.length, 5)
    t.equal(alerts.hasRoom('placeholder-misused', TASK), false)
    t.equal(alerts.hasRoom('placeholder-misused', undefined), true)
    clock.now += 1000
    t.equal(alerts.hasRoom('placeholder-misused', TASK), true)
    raise('placeholder-misused', 100_000, TASK)
    close()
    t.equal(of('placeholder-misused').length, 5)
    t.match(of('placeholder-misused-repeated'), [
      {
        event: { kind: 'alert' },
        sallyport: {
          detection: {
            calls: ['3', '4', '5', '6', '7', '99995', '99996', '99997', '99998', '99999'],
            count: 99_997,
          },
          detail: {
            count: 99_997,
            from: '2023-11-14T22:13:20.000Z',
            to: '2023-11-14T22:13:21.000Z',
          },
        },
      },
    ])
    const { about } = of('placeholder-misused-repeated')[0]?.sallyport.detail ?? {}
    t.ok(Array.isArray(about) && about.length === 20, 'what they are about is bounded')
    t.equal(detected.length, 100_003, 'the metric counts all')
    t.end()
  },
)

void t.test('docs/detections.md says of each detection what the table says', (t) => {
  const text = readFileSync(
    path.join(import.meta.dirname, '../../../../docs/detections.md'),
    'utf8',
  )
  for (const [name, { severity, asi, threat }] of Object.entries(DETECTIONS)) {
    const cells = [
      `[\`${name}\`](#${name})`,
      severity,
      asi.join(', '),
      threat.technique.id.join(', '),
    ]
    const row = text.split('\n').find((line) => line.startsWith(`| ${cells[0]}`))
    t.strictSame(
      row
        ?.split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
      cells,
    )
    t.match(text, `\n## ${name}\n`)
  }
  t.end()
})
