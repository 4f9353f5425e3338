import t from 'tap'

import { Metrics } from '../../../../src/record/metrics/metrics.ts'

const journal = { available: true, bytes: 1234, segments: 2, seq: 42, queued: 3, errors: 1 }

void t.test(
  'the numbers come out in the text format, with labels of closed sets only',
  async (t) => {
    const metrics = new Metrics({
      openCalls: () => 7,
      openTunnels: () => 2,
      tasks: () => ({
        byState: { pending: 0, active: 1, suspended: 0, revoking: 0 },
        observing: 3,
        orphaned: 0,
        unconfirmed: 0,
        endings: { counts: [1], sum: 0.5 },
      }),
      journal: () => journal,
      sinks: () => [
        {
          name: 'siem',
          backlog: 5,
          backlogBytes: 6000,
          lagMs: 1500,
          sent: 9,
          sentBytes: 11_000,
          failures: 2,
          refusals: 1,
          refusedRecords: 3,
          gaps: 1,
          skippedRecords: 40,
        },
      ],
      holds: () => ({ open: 2, actions: new Map([['hold-opened', 3]]) }),
      overrides: () => 4,
      secrets: () => ({ count: 3, oldestSeconds: 60 }),
      leases: () => [{ credential: 'api', leases: 2 }],
      revocations: () => ({ pending: 2, failures: 5 }),
      selfChecks: () => ({
        at: 5000,
        results: [
          { name: 'clock', outcome: 'pass' },
          { name: 'key-files', outcome: 'fail' },
        ],
        failing: ['key-files'],
      }),
    })
    metrics.countCall('allow', 'allowed', 0.00003)
    metrics.countCall('allow', 'allowed', 0.2)
    metrics.countCall('deny', 'not-on-allowlist', 0)
    metrics.countMessage('allow', 'allowed', 0)
    metrics.countMessage('deny', 'tool-not-allowed', 0)
    metrics.countTokens(12, 34)
    metrics.countTokens(undefined, 1)
    metrics.countTokens(-1, Number.NaN)
    metrics.countDetection('denial-storm')
    metrics.countMint()
    metrics.countDial('connected')
    metrics.countDial('connected')
    metrics.countDial('failed')
    for (const round of [1, 2]) {
      const { text } = await metrics.render()
      for (const line of [
        'sallyport_calls_total{verdict="allow",reason="allowed"} 2',
        'sallyport_calls_total{verdict="deny",reason="not-on-allowlist"} 1',
        'sallyport_messages_total{verdict="allow",reason="allowed"} 1',
        'sallyport_messages_total{verdict="deny",reason="tool-not-allowed"} 1',
        'sallyport_model_tokens_total{type="input"} 12',
        'sallyport_model_tokens_total{type="output"} 35',
        'sallyport_detections_total{name="denial-storm"} 1',
        'sallyport_detections_total{name="identity-shared"} 0',
        'sallyport_decision_seconds_count 2',
        'sallyport_decision_seconds_bucket{le="0.00005"} 1',
        'sallyport_upstream_dials_total{outcome="connected"} 2',
        'sallyport_upstream_dials_total{outcome="failed"} 1',
        'sallyport_tls_mints_total 1',
        'sallyport_assertions_total 0',
        'sallyport_open_calls 7',
        'sallyport_open_tunnels 2',
        'sallyport_active_tasks 1',
        'sallyport_tasks{state="active"} 1',
        'sallyport_orphaned_tasks 0',
        'sallyport_tasks_observing 3',
        'sallyport_teardowns_unconfirmed 0',
        'sallyport_task_ending_seconds_sum 0.5',
        'sallyport_journal_bytes 1234',
        'sallyport_journal_segments 2',
        'sallyport_journal_records_total 42',
        'sallyport_journal_queued_records 3',
        'sallyport_journal_errors_total 1',
        'sallyport_journal_available 1',
        'sallyport_static_secrets 3',
        'sallyport_static_secret_age_seconds 60',
        'sallyport_revocations_pending 2',
        'sallyport_revocation_failures_total 5',
        'sallyport_holds_open 2',
        'sallyport_holds_total{outcome="opened"} 3',
        'sallyport_holds_total{outcome="timed-out"} 0',
        'sallyport_overrides_unreviewed 4',
        'sallyport_self_check_passed{name="clock"} 1',
        'sallyport_self_check_passed{name="key-files"} 0',
        'sallyport_self_check_timestamp_seconds 5',
        'sallyport_sink_lag_seconds{sink="siem"} 1.5',
        'sallyport_sink_backlog_records{sink="siem"} 5',
        'sallyport_sink_records_total{sink="siem"} 9',
        'sallyport_sink_failures_total{sink="siem"} 2',
        'sallyport_sink_refusals_total{sink="siem"} 1',
        'sallyport_sink_backlog_bytes{sink="siem"} 6000',
        'sallyport_sink_bytes_total{sink="siem"} 11000',
        'sallyport_sink_refused_records_total{sink="siem"} 3',
        'sallyport_sink_gaps_total{sink="siem"} 1',
        'sallyport_sink_skipped_records_total{sink="siem"} 40',
      ]) {
        t.ok(text.split('\n').includes(line), `${line} (${String(round)})`)
      }
      const labels = new Set([...text.matchAll(/[{,](\w+)="/g)].map((match) => match[1]))
      t.strictSame(
        labels,
        new Set([
          'le',
          'verdict',
          'reason',
          'type',
          'name',
          'outcome',
          'state',
          'credential',
          'sink',
        ]),
      )
    }
    t.match((await metrics.render()).contentType, /^text\/plain/)
    metrics.countAssertion()
    t.match((await metrics.render()).text, 'sallyport_assertions_total 1')
  },
)
