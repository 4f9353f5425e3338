// What the real client prints of our refusals, each next to the same request when it is allowed.

import t, { type Test as Tap } from 'tap'

import { REASONS } from '../../../src/errors.ts'
import type { PushCapabilities } from '../../../src/inspect/git/command-list.ts'
import { formatPktLine, PktLineReader } from '../../../src/inspect/git/pkt-line.ts'
import { refuseGit, type GitRefusal } from '../../../src/inspect/git/refusal.ts'
import {
  BACKEND,
  cloneWithCommit,
  formatLines,
  openDesk,
  PUSH_REQUEST,
  readPush,
  type Desk,
  type Seen,
} from './git-support.ts'

const ABSENT = BACKEND === '' ? 'git has no http-backend here' : false
const CALL = '01J0000000000000000000CALL'

async function open(t: Tap): Promise<Desk> {
  const desk = await openDesk()
  t.teardown(() => desk.close())
  await cloneWithCommit(desk)
  return desk
}

// Refuses one step of one service and lets everything else pass.
function refuseStep(step: string, service: string) {
  return ({ request }: Seen): GitRefusal | undefined =>
    request?.step === step && request.service === service
      ? refuseGit(request, undefined, 'not-on-allowlist', { callId: CALL })
      : undefined
}

for (const version of ['0', '1', '2'])
  void t.test(
    `R40: a refused clone says why, with version ${version} of the protocol`,
    { skip: ABSENT },
    async (t) => {
      const desk = await open(t)
      const clone = (to: string) =>
        desk.git('-c', `protocol.version=${version}`, 'clone', desk.url, to)
      const words = `fatal: remote error: sallyport: not-on-allowlist: ${REASONS['not-on-allowlist'].title}. ${REASONS['not-on-allowlist'].remedy} (call ${CALL})`
      desk.judge = refuseStep('advertise', 'upload-pack')
      const early = await clone('early')
      t.not(early.status, 0)
      t.ok(early.stderr.split('\n').includes(words), early.stderr)
      desk.judge = refuseStep('upload', 'upload-pack')
      const late = await clone('late')
      t.not(late.status, 0)
      t.ok(late.stderr.split('\n').includes(words), late.stderr)
      desk.judge = () => undefined
      const allowed = await clone('allowed')
      t.equal(allowed.status, 0, allowed.stderr)
      desk.judge = refuseStep('upload', 'upload-pack')
      await desk.commit('work', 'more')
      await desk.run('-C', 'work', 'push', '-q', 'origin', 'main')
      const fetched = await desk.git('-c', `protocol.version=${version}`, '-C', 'allowed', 'fetch')
      t.not(fetched.status, 0)
      t.ok(fetched.stderr.split('\n').includes(words), fetched.stderr)
      desk.judge = () => undefined
      t.equal((await desk.git('-C', 'allowed', 'fetch')).status, 0)
    },
  )

void t.test(
  'a refused push says which references are not changed, and what to do',
  { skip: ABSENT },
  async (t) => {
    const desk = await open(t)
    const before = await desk.run('-C', 'acme/widgets.git', 'rev-parse', 'main')
    await desk.commit('work', 'more')
    desk.judge = ({ request, body }) => {
      if (request?.step !== 'push') return undefined
      const push = readPush(body)
      const refused = push.subject.commands.filter(({ ref }) => ref === 'refs/heads/main')
      return refused.length === 0
        ? undefined
        : refuseGit(request, push, 'ref-not-allowed', {
            callId: CALL,
            refusedRefs: new Set(refused.map(({ ref }) => ref)),
          })
    }
    for (const words of [[], ['--atomic'], ['--no-thin'], ['-o', 'ci.skip']]) {
      const { status, stderr } = await desk.git(
        '-C',
        'work',
        'push',
        ...words,
        'origin',
        'main',
        'main:refs/heads/agent/x',
      )
      t.not(status, 0)
      const lines = stderr.split('\n').map((line) => line.replace(/^ +/, ''))
      t.ok(lines.includes('! [remote rejected] main -> main (sallyport: ref-not-allowed)'), stderr)
      t.ok(
        lines.includes(
          '! [remote rejected] main -> agent/x (not sent: another update of this push was refused)',
        ),
        stderr,
      )
      t.ok(lines.includes(`remote: ${REASONS['ref-not-allowed'].remedy}`), stderr)
      t.ok(
        lines.includes(`remote: sallyport: ${REASONS['ref-not-allowed'].title} (call ${CALL})`),
        stderr,
      )
    }
    t.equal(await desk.run('-C', 'acme/widgets.git', 'rev-parse', 'main'), before)
    const allowed = await desk.git('-C', 'work', 'push', 'origin', 'main:refs/heads/agent/x')
    t.equal(allowed.status, 0, allowed.stderr)
    const porcelain = await desk.git('-C', 'work', 'push', '--porcelain', 'origin', ':main')
    t.match(porcelain.stdout, '!\t:refs/heads/main\t[remote rejected] (sallyport: ref-not-allowed)')
  },
)

void t.test('a push that was not read is refused in words too', { skip: ABSENT }, async (t) => {
  const desk = await open(t)
  await desk.commit('work', 'more')
  for (const step of ['advertise', 'push']) {
    desk.judge = refuseStep(step, 'receive-pack')
    const { status, stderr } = await desk.git('-C', 'work', 'push', 'origin', 'main')
    t.not(status, 0)
    t.match(stderr, 'not-on-allowlist')
    t.match(stderr, CALL)
  }
  desk.judge = () => undefined
  t.equal((await desk.git('-C', 'work', 'push', 'origin', 'main')).status, 0)
})

void t.test(
  'a large push, which git asks about first, is refused in words',
  { skip: ABSENT },
  async (t) => {
    const desk = await open(t)
    await desk.commit('work', 'more', 'x'.repeat(5000))
    desk.judge = ({ request, body }) =>
      request?.step === 'push'
        ? refuseGit(request, readPush(body), 'ref-not-allowed', { callId: CALL })
        : undefined
    const push = () =>
      desk.git(
        '-C',
        'work',
        '-c',
        'http.postBuffer=1000',
        '-c',
        'core.compression=0',
        'push',
        'origin',
        'main',
      )
    const { status, stderr } = await push()
    t.not(status, 0)
    t.ok(desk.seen.some(({ body }) => body.toString() === '0000'))
    t.match(stderr, '(sallyport: ref-not-allowed)')
    desk.judge = () => undefined
    t.equal((await push()).status, 0)
  },
)

void t.test(
  'every step and every client has its form of refusal, and only known words are in it',
  (t) => {
    const context = { callId: CALL }
    const words = `sallyport: ref-not-allowed: ${REASONS['ref-not-allowed'].title}. ${REASONS['ref-not-allowed'].remedy} (call ${CALL})`
    const error = formatPktLine(`ERR ${words}`)
    const repo = 'acme/widgets'
    const advertised = refuseGit(
      { repo, service: 'upload-pack', step: 'advertise' },
      undefined,
      'ref-not-allowed',
      context,
    )
    t.strictSame(advertised.headers, [
      'Proxy-Status',
      'sallyport; error=http_request_denied; reason=ref-not-allowed',
      'Content-Type',
      'application/x-git-upload-pack-advertisement',
      'Cache-Control',
      'no-store',
    ])
    t.equal(advertised.body.toString(), `001e# service=git-upload-pack\n0000${error.toString()}`)
    const uploaded = refuseGit(
      { repo, service: 'upload-pack', step: 'upload' },
      undefined,
      'ref-not-allowed',
      context,
    )
    t.equal(uploaded.headers[3], 'application/x-git-upload-pack-result')
    t.equal(uploaded.body.toString(), error.toString())

    const push = (capabilities: Partial<PushCapabilities>, ...refs: string[]): Buffer =>
      refuseGit(
        PUSH_REQUEST,
        {
          capabilities: { reportStatus: false, sideBand: false, atomic: false, ...capabilities },
          subject: { commands: refs.map((ref) => ({ ref })) },
        },
        'ref-not-allowed',
        context,
      ).body
    const report = formatLines('unpack ok\n', 'ng refs/heads/x sallyport: ref-not-allowed\n')
    t.equal(push({}, 'refs/heads/x').toString(), error.toString())
    t.equal(push({ reportStatus: true }, 'refs/heads/x').toString(), report.toString())
    const many = Array.from({ length: 1000 }, (_, at) => `refs/heads/${'x'.repeat(300)}${at}`)
    const framed = push({ reportStatus: true, sideBand: true }, ...many)
    const reader = new PktLineReader()
    reader.append(framed)
    let reported = ''
    let line = reader.next()
    for (; line?.kind === 'data'; line = reader.next())
      if (line.bytes[0] === 1) reported += line.bytes.toString('utf8', 1)
    t.equal(line?.kind, 'flush')
    t.equal(reader.next(), undefined)
    t.equal(reported, push({ reportStatus: true }, ...many).toString())
    t.end()
  },
)

void t.test(
  'a push of many references is refused for each of them',
  { skip: ABSENT },
  async (t) => {
    const desk = await open(t)
    desk.judge = ({ request, body }) =>
      request?.step === 'push'
        ? refuseGit(request, readPush(body), 'ref-not-allowed', { callId: CALL })
        : undefined
    const refs = Array.from({ length: 400 }, (_, at) => `main:refs/heads/${'x'.repeat(200)}${at}`)
    const { status, stderr } = await desk.git('-C', 'work', 'push', 'origin', ...refs)
    t.not(status, 0)
    t.equal(stderr.match(/remote rejected.*\(sallyport: ref-not-allowed\)/g)?.length, 400)
    desk.judge = () => undefined
    t.equal((await desk.git('-C', 'work', 'push', 'origin', ...refs.slice(0, 3))).status, 0)
  },
)
