import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { callRecord, eventRecord } from '../../../../src/record/ecs.ts'
import { messageRecord } from '../../../../src/record/message-record.ts'
import { escapeUnprintable } from '../../../../src/record/printable.ts'
import { renderRecord } from '../../../../src/record/read/render.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import { tailRecords, type TailFilter } from '../../../../src/record/read/tail.ts'
import { facts, freshDir, messageCall, messageOf, openJournal, TASK, until } from '../support.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

void t.test('every filter lets its own through and nothing else', async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(dir)
  const target = (host: string) => ({
    scheme: 'https',
    endpoint: { host, kind: 'name' as const, port: 443, literal: host },
    path: '/',
  })
  await journal.append(callRecord(facts({ id: 'STARTED' }), 'call-started', NOW))
  await journal.append(callRecord(facts({ id: 'ENDED' }), 'call-ended', NOW))
  const other = { ...TASK, id: 't_child', path: [TASK.id, 't_child'] }
  await journal.append(
    callRecord(
      facts({ id: 'CHILD', task: other, target: target('pay.example.test') }),
      'call-ended',
      NOW + 1000,
    ),
  )
  const bare = facts({ id: 'DENIED', reason: 'not-on-allowlist', target: target('evil.test') })
  const { decision: _decision, credential: _credential, ...undecided } = bare
  await journal.append(callRecord(undecided, 'call-denied', NOW + 2000))
  await journal.append(eventRecord('rules-loaded', { now: NOW + 3000 }))
  const tool = { gen_ai: { operation: { name: 'execute_tool' }, tool: { name: 'list_issues' } } }
  for (const [id, verdict] of [
    ['ASKED', 'allow'],
    ['FORBIDDEN', 'deny'],
  ] as const)
    await journal.append(
      messageRecord(messageCall(id), messageOf({ fields: tool, verdict }), NOW + 4000),
    )
  await journal.close()
  const ids = async (filter: TailFilter): Promise<string[]> => {
    const seen: string[] = []
    for await (const { record } of tailRecords(dir, { filter, follow: false })) {
      seen.push(record.sallyport.call?.id ?? record.event.action)
    }
    return seen
  }
  const messages = ['ASKED', 'FORBIDDEN']
  t.strictSame(await ids({}), ['ENDED', 'CHILD', 'DENIED', 'rules-loaded', ...messages])
  t.strictSame(await ids({ all: true }), [
    'STARTED',
    'ENDED',
    'CHILD',
    'DENIED',
    'rules-loaded',
    ...messages,
  ])
  t.strictSame(await ids({ task: TASK.id }), ['ENDED', 'CHILD', 'DENIED', ...messages])
  t.strictSame(await ids({ task: 't_child' }), ['CHILD'])
  t.strictSame(await ids({ host: 'Evil.test' }), ['DENIED'])
  t.strictSame(await ids({ host: '*.example.test' }), ['CHILD'])
  t.strictSame(await ids({ verdict: 'deny' }), ['DENIED', 'FORBIDDEN'])
  t.strictSame(await ids({ verdict: 'allow' }), ['ENDED', 'CHILD', 'ASKED'])
  t.strictSame(await ids({ tool: 'list_issues' }), messages)
  t.strictSame(await ids({ tool: 'list_*' }), messages)
  t.strictSame(await ids({ tool: '*' }), messages, 'what is no call of a tool has no tool')
  t.strictSame(await ids({ tool: 'list.issues' }), [], 'it is no regular expression')
  t.strictSame(await ids({ tool: 'list_*', verdict: 'deny' }), ['FORBIDDEN'])
  t.strictSame(await ids({ tool: 'list' }), [])
  t.strictSame(await ids({ reason: 'not-on-allowlist' }), ['DENIED'])
  t.strictSame(await ids({ rule: 'read-issues' }), ['ENDED', 'CHILD'])
  t.strictSame(await ids({ rule: 'github-triage/read-issues', host: 'api.github.com' }), ['ENDED'])
  t.strictSame(await ids({ rule: 'other/read-issues' }), [])
  t.strictSame(await ids({ credential: 'github' }), ['ENDED', 'CHILD'])
  t.strictSame(await ids({ since: NOW + 2000 }), ['DENIED', 'rules-loaded', ...messages])
  t.strictSame(await ids({ grep: 'evil\\.(test|com)' }), ['DENIED'])
  t.strictSame(await ids({ since: NOW + 1000, until: NOW + 3000 }), ['CHILD', 'DENIED'])
  t.strictSame(await ids({ until: NOW }), [])
  await t.rejects(ids({ grep: '(' }))
  t.strictSame(await ids({ since: Date.now() + 1e9 }), [])
})

void t.test('following goes on over segments and over lines that are no records', async (t) => {
  const dir = freshDir(t)
  const seen: string[] = []
  const bad: string[] = []
  const stop = new AbortController()
  const following = (async () => {
    const options = {
      filter: {},
      follow: true,
      signal: stop.signal,
      onBadLine: (line: string) => bad.push(line),
    }
    for await (const { record } of tailRecords(dir, options))
      seen.push(record.sallyport.call?.id ?? '')
  })()
  const journal = openJournal(dir, { segmentBytes: 4000 })
  const wanted: string[] = []
  for (let call = 0; call < 30; call++) {
    const id = `C${String(call)}`
    wanted.push(id)
    await journal.append(callRecord(facts({ id }), 'call-ended', Date.now()))
    if (call % 10 === 9) await until(() => seen.length === wanted.length, 'it has caught up')
  }
  t.ok(listSegments(dir).length > 5)
  t.strictSame(seen, wanted)
  appendFileSync(listSegments(dir).at(-1)?.path ?? '', 'hello\nnull\n{"event":1}\n{"half')
  await until(() => bad.length === 3, 'they are told')
  stop.abort()
  await following
  await journal.close()
  t.strictSame(bad, ['hello', 'null', '{"event":1}'])
})

void t.test('alerts are found, and detections by their name', async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(dir)
  const detected = eventRecord('denial-storm-detected', { now: NOW, kind: 'alert' })
  const detection = { severity: 'high', asi: ['ASI02'], calls: ['C'], count: 3 } as const
  await journal.append({
    ...detected,
    sallyport: { ...detected.sallyport, detection: { ...detection, name: 'denial-storm' } },
  })
  await journal.append(eventRecord('placeholder-misused', { now: NOW }))
  await journal.append(eventRecord('rules-loaded', { now: NOW }))
  await journal.append(callRecord(facts({ id: 'ENDED' }), 'call-ended', NOW))
  await journal.close()
  const actions = async (filter: TailFilter): Promise<string[]> => {
    const seen: string[] = []
    for await (const { record } of tailRecords(dir, { filter, follow: false }))
      seen.push(record.event.action)
    return seen
  }
  const alerts = ['denial-storm-detected', 'placeholder-misused']
  t.strictSame(await actions({ alerts: true }), alerts)
  t.strictSame(await actions({ detection: 'denial-*' }), alerts.slice(0, 1))
  t.strictSame(await actions({ detection: 'denial' }), [])
})

void t.test('it begins with the last so many, over segments, and goes on from there', async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(dir, { segmentBytes: 4000 })
  const append = (id: string): Promise<void> =>
    journal.append(callRecord(facts({ id }), 'call-ended', Date.now()))
  for (let call = 0; call < 30; call++) await append(`C${call}`)
  t.ok(listSegments(dir).length > 5)
  const ids = async (last: number, filter: TailFilter = {}): Promise<string[]> => {
    const seen: string[] = []
    for await (const { record } of tailRecords(dir, { filter, follow: false, last }))
      seen.push(record.sallyport.call?.id ?? '')
    return seen
  }
  t.strictSame(await ids(3), ['C27', 'C28', 'C29'])
  t.strictSame(await ids(0), [])
  t.equal((await ids(20)).length, 20)
  t.equal((await ids(100)).length, 30)
  t.strictSame(await ids(2, { grep: '"C1\\d"' }), ['C18', 'C19'])
  t.strictSame(await ids(2, { since: Date.now() + 1e6 }), [])
  const stop = new AbortController()
  const seen: string[] = []
  const following = (async () => {
    const options = { filter: {}, follow: true, last: 1, signal: stop.signal }
    for await (const { record } of tailRecords(dir, options))
      seen.push(record.sallyport.call?.id ?? '')
  })()
  await until(() => seen.length === 1, 'the last one is seen')
  await append('NEXT')
  await until(() => seen.length === 2, 'the next one is seen')
  stop.abort()
  await following
  await journal.close()
  t.strictSame(seen, ['C29', 'NEXT'])
})

void t.test('following loses nothing while segments are closed and deleted under it', async (t) => {
  const dir = freshDir(t)
  let now = Date.now()
  const journal = openJournal(dir, { segmentBytes: 2000, retainMs: 0, now: () => now })
  const stop = new AbortController()
  const seen: number[] = []
  const following = (async () => {
    const options = { filter: {}, follow: true, signal: stop.signal }
    for await (const { record } of tailRecords(dir, options))
      seen.push(record.sallyport.chain?.seq ?? 0)
  })()
  // Each read meets a journal that grows between its looks at it.
  let written = 0
  while (written < 1000) {
    await journal.append(callRecord(facts({ id: `C${written}` }), 'call-ended', Date.now()))
    written += 1
    if (written % 200 === 0) {
      await until(() => seen.length === journal.head.seq, 'it has caught up')
      now = Date.now() + 1000
      await journal.deleteExpired()
    }
  }
  await until(() => seen.length === journal.head.seq, 'it has caught up')
  stop.abort()
  await following
  const { segments } = journal.stats
  await journal.close()
  t.ok(segments < written / 4, 'segments were deleted')
  t.strictSame(
    seen,
    seen.map((_, at) => at + 1),
  )
})

void t.test('no journal is an empty one', async (t) => {
  for await (const _ of tailRecords(join(freshDir(t), 'none'), { filter: {}, follow: false }))
    t.fail('nothing is there')
  t.end()
})

void t.test('a record is one line for a person', (t) => {
  t.equal(
    renderRecord(callRecord(facts(), 'call-ended', NOW), false),
    `2026-01-02 03:04:05.678 ALLOW 200 GET https://api.github.com/repos/acme/widgets/issues? 41ms ↑412 ↓9.1k github-triage/read-issues github:injected ${TASK.id}`,
  )
  const denied = renderRecord(
    callRecord(facts({ reason: 'path-not-allowed' }), 'call-denied', NOW),
    false,
  )
  t.match(denied, /DENY .* path-not-allowed /)
  t.match(
    renderRecord(callRecord(facts({ reason: 'dial-failed' }), 'call-ended', NOW), false),
    /FAIL .* dial-failed /,
  )
  t.match(
    renderRecord(callRecord(facts({ mode: 'observe' }), 'call-ended', NOW), false),
    / OBSERVE /,
  )
  t.match(renderRecord(callRecord(facts(), 'call-started', NOW), false), / START /)
  t.match(renderRecord(callRecord(facts(), 'call-progress', NOW), false), / OPEN /)
  t.match(
    renderRecord(
      eventRecord('rules-loaded', { now: NOW, message: 'two sets', detail: { sets: 2, of: 'x' } }),
      false,
    ),
    /^2026-01-02 03:04:05\.678 EVENT rules-loaded two sets sets=2 of=x$/,
  )
  t.match(
    renderRecord(eventRecord('placeholder-misused', { now: NOW }), false),
    / ALERT placeholder-misused/,
  )
  const big = facts({ durationNs: 61_234_000_000, response: { status: 200, bytes: 1_234_000_000 } })
  t.match(renderRecord(callRecord(big, 'call-ended', NOW), false), / 61\.2s ↑412 ↓1\.2G /)
  t.end()
})

void t.test('a message and a call of a model are one line each', (t) => {
  const call = messageCall('CALL')
  const line = (more: Parameters<typeof messageOf>[0]): string =>
    renderRecord(messageRecord(call, messageOf(more), NOW), false)
  const named = { operation: { name: 'execute_tool' }, tool: { name: 'list\u001b[2J' } }
  const mcp = { method: { name: 'tools/call' } }
  t.match(
    line({ fields: { mcp, gen_ai: named } }),
    / ALLOW → tools\/call list\\u\{1b\}\[2J https:\/\/mcp\.test\/mcp set\/rule t_/,
  )
  t.match(
    line({ fields: { mcp, gen_ai: named }, verdict: 'deny', reason: 'tool-not-allowed' }),
    / DENY {2}→ tools\/call .* tool-not-allowed /,
  )
  const failed = { mcp, error: { type: 'tool_error' } }
  const response = { kind: 'response', direction: 'to-client' } as const
  t.match(line({ fields: failed, ...response }), / FAIL {2}← tools\/call https.* tool_error /)
  t.match(line({ fields: {}, ...response }), / ALLOW ← response https/)
  t.match(
    line({
      fields: { mcp: { method: { name: 'resources/read' }, resource: { uri: 'file:///a' } } },
    }),
    / → resources\/read file:\/\/\/a /,
  )
  t.match(line({ fields: {}, wouldDeny: 'tool-not-allowed' }), / OBSERVE /)
  const model = {
    operation: { name: 'chat' },
    request: { model: 'small' },
    usage: { input_tokens: 12, output_tokens: 345 },
  }
  t.match(
    renderRecord(callRecord(facts({ inspected: { gen_ai: model } }), 'call-ended', NOW), false),
    / ALLOW 200 GET .* ↓9\.1k small 12→345 tokens /,
  )
  t.end()
})

void t.test('colour only where asked, and never a stranger’s escapes', (t) => {
  const target = {
    scheme: 'https',
    endpoint: { host: 'a.test', kind: 'name' as const, port: 443, literal: 'a.test' },
    path: '/x\u001b[31m\u0007',
  }
  const request = { method: 'G\u001b[2JT\u202e', version: '1.1', bytes: 1 }
  const record = callRecord(facts({ target, request }), 'call-ended', NOW)
  const plain = renderRecord(record, false)
  t.notMatch(plain, /[\u0000-\u001f\u202e]/) // eslint-disable-line no-control-regex
  t.match(plain, 'G\\u{1b}[2JT\\u{202e}')
  const colored = renderRecord(record, true)
  t.match(colored, '\u001b[32mALLOW\u001b[39m')
  t.notMatch(colored, '\u001b[2J')
  t.notMatch(colored, '\u001b[31m', 'not even one that looks like a colour of ours')
  t.end()
})

void t.test('what a terminal acts on or does not draw is shown', (t) => {
  for (const hidden of [
    '\u0000',
    '\u007f',
    '\u009b',
    '\u200b',
    '\u202e',
    '\u2066',
    '\u2028',
    '\ufeff',
    '\u00ad',
    '\ud800',
    '\u3164',
    '\ue000',
    '\u{e0041}',
  ]) {
    t.match(escapeUnprintable(`a${hidden}b`), /^a\\u\{[0-9a-f]+\}b$/u)
  }
  t.equal(escapeUnprintable('häuser 日本 🎉 \\'), 'häuser 日本 🎉 \\')
  t.end()
})

void t.test(
  'a record that was edited stops nothing: it is left out, or said to be none',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir)
    await journal.append(eventRecord('rules-loaded', { now: NOW }))
    await journal.close()
    const file = join(dir, '0000000001.ndjson')
    const ended = JSON.stringify(callRecord(facts(), 'call-ended', NOW))
    const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
    const withDetail = (detail: string): string => ended.replace(/\}\}$/, `,"detail":${detail}}}`)
    const kept = withDetail(deep(200))
    const many = withDetail(JSON.stringify({ said: '[{'.repeat(9000) }))
    const lines = [
      withDetail(deep(300)),
      withDetail(deep(20_000)),
      ended.replace(/"sallyport":.*$/, '"sallyport":null}'),
      kept,
      many,
      ended.replace('"reason":"allowed"', '"reason":{"toString":1}'),
      ended.replace(/"full":"[^"]*"/, '"full":7'),
    ]
    appendFileSync(file, lines.map((line) => `${line}\n`).join(''))
    let bad = 0
    const shown: string[] = []
    for await (const { record } of tailRecords(dir, {
      filter: { all: true },
      follow: false,
      onBadLine: () => (bad += 1),
    })) {
      JSON.stringify(record)
      shown.push(renderRecord(record, false))
    }
    t.equal(bad, 3)
    t.equal(shown.length, 5, 'what is deep within reason, or only looks deep, is shown')
    t.match(shown.at(-1), /^2026-01-02 03:04:05\.678 \?{5} call-ended: not as records are$/)
    t.match(shown.at(-2), /not as records are$/)
    t.match(shown.at(-3), /ALLOW/)
    t.end()
  },
)
