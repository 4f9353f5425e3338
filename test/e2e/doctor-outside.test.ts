// `sallyport doctor` beside an installation: what is well before a start and beside a running sidecar, and each thing that is
// not, with how to mend it.

import { appendFileSync, chmodSync, readdirSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

import t, { type Test } from 'tap'

import type { Found } from '../fixtures/namespaces.ts'
import { ruleSet, scenario, type Scenario } from '../fixtures/scenario.ts'

function doctor(cx: Scenario): { status: number | null; findings: readonly Found[] } {
  const { status, stdout } = cx.run('doctor', '--json')
  const { findings }: { findings: Found[] } = JSON.parse(stdout)
  return { status, findings }
}

/** What fails, each as `check: happened → mend`. */
function failures({ findings }: { readonly findings: readonly Found[] }): string[] {
  return findings
    .filter(({ status }) => status === 'fail')
    .map(({ check, happened, mend = '' }) => `${check}: ${happened} → ${mend}`)
}

/** Demands one failure, and that nothing fails once it is mended. */
function mends(cx: Scenario, t: Test, wanted: RegExp, mend: () => void): void {
  const broken = doctor(cx)
  t.equal(broken.status, 1, wanted.source)
  const failed = failures(broken)
  t.equal(failed.length, 1, failed.join('; '))
  t.match(failed[0], wanted)
  mend()
  const whole = doctor(cx)
  t.strictSame([whole.status, failures(whole)], [0, []], 'it was that alone')
}

const RULES = ruleSet('id: a, allow: https://api.test')

scenario(
  t,
  'the doctor finds an installation well before, beside and after its sidecar',
  { rules: RULES },
  async (cx, t) => {
    const beside = doctor(cx)
    t.strictSame([beside.status, failures(beside)], [0, []])
    for (const name of ['listen.proxy', 'listen.health', 'control.listen'])
      t.match(
        beside.findings.find(({ tried }) => tried.startsWith(name)),
        { status: 'ok', happened: 'a sidecar answers' },
        name,
      )
    t.match(
      beside.findings.find(({ tried }) => tried.endsWith('lock')),
      { happened: `process ${cx.pid()} holds it` },
    )
    await cx.stop()
    const after = doctor(cx)
    t.strictSame([after.status, failures(after)], [0, []])
    t.match(
      after.findings.find(({ tried }) => tried.startsWith('listen.proxy')),
      { happened: 'is free' },
    )
    const { status, stdout } = cx.run('doctor')
    t.equal(status, 0)
    t.match(stdout, /^ok {3}system: Node .*\n/)
    t.match(stdout, /\d+ ok, \d+ to look at, 0 failed\nthe installation is well\n$/)
    await cx.start()
  },
)

scenario(
  t,
  'the doctor names what is wrong with an installation, and how to mend it',
  { rules: RULES, unchecked: true },
  async (cx, t) => {
    await cx.stop()
    const key = path.join(cx.directory, 'state/ca.key')
    chmodSync(key, 0o644)
    mends(cx, t, /^state: mode 0644 → chmod 0600 .*ca\.key$/, () => chmodSync(key, 0o600))

    const state = path.join(cx.directory, 'state')
    chmodSync(state, 0o755)
    mends(cx, t, /^state: mode 0755 → chmod 0700 .*state$/, () => chmodSync(state, 0o700))

    const server = net.createServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => server.listen(cx.proxyPort, '127.0.0.1', resolve))
    mends(cx, t, /^listen: taken by another program → stop it/, () => server.close())

    const certificate = cx.caPem()
    cx.file('certs/ca.crt', 'nothing')
    mends(cx, t, /^ca: is no certificate → restore it/, () => {
      cx.file('certs/ca.crt', certificate)
    })

    cx.file('rules/set.yaml', 'ruleset: set\nrules: [{ id: a, alow: https://api.test }]\n')
    const broken = doctor(cx)
    t.equal(broken.status, 1)
    t.match(failures(broken).join('\n'), /^configuration: .*alow/m)
    cx.file('rules/set.yaml', RULES['set'] ?? '')

    const journal = path.join(cx.directory, 'journal')
    const [segment = ''] = readdirSync(journal).filter((name) => name.endsWith('.ndjson'))
    appendFileSync(path.join(journal, segment), '{"forged":true}\n')
    const forged = doctor(cx)
    t.equal(forged.status, 1)
    t.match(failures(forged).join('\n'), /^journal: .*ndjson:\d+: .* → see `sallyport verify`$/m)
  },
)
