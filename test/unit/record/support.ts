// What the tests of this room share: a task, facts of a call, a journal in a fresh directory.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Call, type Message } from '../../../src/call.ts'
import type { Reason } from '../../../src/errors.ts'
import { DEFAULT_LIMITS, type Limits } from '../../../src/limits.ts'
import { Alerts } from '../../../src/record/detect/alerts.ts'
import type { RecordBody } from '../../../src/record/body.ts'
import type { DetectionName } from '../../../src/record/detect/detections.ts'
import { Detector } from '../../../src/record/detect/detector.ts'
import type { CallFacts } from '../../../src/record/facts.ts'
import {
  Journal,
  type JournalOptions,
  type RecordLog,
} from '../../../src/record/journal/journal.ts'
import { KnownDestinations } from '../../../src/record/detect/known-destinations.ts'
import { listSegments } from '../../../src/record/journal/segments.ts'
import type { Task } from '../../../src/tasks/task.ts'

export const TASK: Task = {
  id: 't_01j00000000000000000000000',
  path: ['t_01j00000000000000000000000'],
  intent: 'Triage',
  intentDigest: `sha256:${'a'.repeat(64)}`,
  owner: { name: 'payments on-call', team: 'payments' },
  agent: { account: 'triage-bot', instance: 'triage-bot/7f3a' },
  sandbox: { id: 'c0ffee' },
  rules: ['github-triage'],
  params: {},
  environment: 'prod',
  ceiling: 'confidential',
  sources: [],
  startsAt: 0,
  expiresAt: 1e13,
}

export function facts(more: Partial<CallFacts> = {}): CallFacts {
  return {
    id: '01JCALL0000000000000000000',
    kind: 'intercepted',
    parent: '01JTUNNEL00000000000000000',
    mode: 'enforce',
    startedAt: 1_700_000_000_000,
    durationNs: 41_200_000,
    client: { address: '127.0.0.1', port: 50112 },
    task: TASK,
    decision: {
      id: '01JDECISION000000000000000',
      verdict: 'allow',
      reason: 'allowed',
      rule: { id: 'read-issues', ruleset: 'github-triage', version: `sha256:${'b'.repeat(64)}` },
      policy: `sha256:${'c'.repeat(64)}`,
      us: 38,
    },
    reason: 'allowed',
    target: {
      scheme: 'https',
      endpoint: { host: 'api.github.com', kind: 'name', port: 443, literal: 'api.github.com' },
      path: '/repos/acme/widgets/issues',
      query: '',
    },
    request: { method: 'GET', version: '1.1', bytes: 412, userAgent: 'curl/8.5.0' },
    response: { status: 200, bytes: 9120, mimeType: 'application/json' },
    upstream: { address: '140.82.121.6', port: 443, tlsVersion: 'TLSv1.3' },
    clientTls: { serverName: 'api.github.com', version: 'TLSv1.3' },
    credential: { name: 'github', action: 'injected' },
    inspection: 'full',
    ...more,
  }
}

/** What detects and tells, with bounds that can be moved, over whatever takes its records. */
export function openDetection(options: {
  readonly stateDir: string
  readonly append: (record: RecordBody) => void
  readonly now: () => number
  readonly limits?: Partial<Limits>
}): {
  readonly alerts: Alerts
  readonly detector: Detector
  readonly detected: DetectionName[]
  readonly close: () => void
} {
  const { stateDir, append, now } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const detected: DetectionName[] = []
  const onDetected = (name: DetectionName): unknown => detected.push(name)
  const alerts = new Alerts({ limits, append, onDetected, now })
  const onProblem = (error: unknown): void => {
    throw error
  }
  const destinations = new KnownDestinations({ stateDir, limits, onProblem, now })
  const detector = new Detector({ alerts, destinations, limits, append, now })
  const close = (): void => {
    detector.close()
    alerts.close()
  }
  return { alerts, detector, detected, close }
}

/** A call to an MCP server. */
export function messageCall(id: string): Call {
  const call: Call = new Call({ id, kind: 'intercepted', startedAt: 0, client: {} })
  call.receive({
    method: 'POST',
    version: '1.1',
    headers: ['Host', 'mcp.test'],
    scheme: 'https',
    endpoint: { host: 'mcp.test', kind: 'name', port: 443, literal: 'mcp.test' },
    path: { raw: '/mcp', readings: [] },
    query: undefined,
    framing: { kind: 'none' },
    upgrade: false,
    expectsContinue: false,
  })
  call.task = TASK
  return call
}

/** A message of such a call. */
export function messageOf(
  more: Partial<Omit<Message, 'decision'>> & {
    readonly verdict?: 'allow' | 'deny'
    readonly reason?: Reason
    readonly wouldDeny?: Reason
    readonly obligations?: Message['decision']['obligations']
  } = {},
): Message {
  const { verdict = 'allow', reason, wouldDeny, obligations, ...own } = more
  return {
    id: '01JMESSAGE0000000000000000',
    direction: 'to-server',
    kind: 'request',
    decision: {
      verdict,
      reason: reason ?? (verdict === 'allow' ? 'allowed' : 'tool-not-allowed'),
      rule: { id: 'rule', ruleset: 'set', version: `sha256:${'b'.repeat(64)}` },
      policy: `sha256:${'c'.repeat(64)}`,
      obligations: obligations ?? { clientAuth: 'drop', placeholderInBody: 'pass' },
      ...(wouldDeny && { wouldDeny }),
    },
    decisionId: '01JDECISION000000000000000',
    decisionUs: 7.6,
    fields: { mcp: { method: { name: 'tools/call' } } },
    ...own,
  }
}

/** A log that remembers. */
export function memoryLog(): RecordLog & { readonly lines: string[] } {
  const lines: string[] = []
  const add =
    (level: string) =>
    (_detail: object, message: string): void => {
      lines.push(`${level} ${message}`)
    }
  return { lines, info: add('info'), warn: add('warn'), error: add('error') }
}

export function freshDir(t: { teardown: (fn: () => void) => void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-record-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export function openJournal(
  dir: string,
  {
    limits,
    ...more
  }: Partial<Omit<JournalOptions, 'limits'>> & {
    readonly limits?: Partial<JournalOptions['limits']>
  } = {},
): Journal {
  return Journal.open({
    dir,
    sync: 'process',
    segmentBytes: 64 * 1024 * 1024,
    retainMs: 30 * 86_400_000,
    maxBytes: 4 * 1024 ** 3,
    limits: { recordsQueuedMax: 20_000, tasksMax: 100, tasksEndedMax: 100, ...limits },
    now: Date.now,
    log: memoryLog(),
    ...more,
  })
}

/** All lines of a journal, in order. */
export function journalLines(dir: string): string[] {
  return listSegments(dir).flatMap(({ path }) =>
    readFileSync(path, 'utf8').split('\n').slice(0, -1),
  )
}

/** All records of a journal, in order. */
export function journalRecords(dir: string): RecordBody[] {
  return journalLines(dir).map((line) => JSON.parse(line))
}

/** Calls back until something holds, for at most five seconds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 5000
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`in vain waited until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
