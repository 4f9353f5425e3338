// Run by leases-full-disk.test.ts in a mount namespace of its own: state and journal on file systems of a few hundred kilobytes, which
// fill up before and while a token is minted.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'

import { openOAuthDesk, type OAuthDesk } from '../fixtures/oauth-desk.ts'
import { Scenario, until } from '../fixtures/scenario.ts'
import { makeTask, revoke, type MadeTask } from '../fixtures/tasks.ts'

const OK = /^HTTP\/1\.1 200/
const REFUSED = /^HTTP\/1\.1 502 Sallyport: credential-unavailable/
const NO_RECORD = /^HTTP\/1\.1 503 Sallyport: audit-unavailable/
// What takes a token back is written down with where that is. So the first lease leaves room in its page for the line before the
// next one is minted, and none for the line behind.
const PAD = 'x'.repeat(1900)

interface Disk {
  fill(): void
  free(): void
}

/** A small file system. */
function mountAt(directory: string): Disk {
  mkdirSync(directory)
  const { status, stderr } = spawnSync(
    'mount',
    ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', directory],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(stderr)
  const filler = path.join(directory, 'filler')
  return {
    fill: () => {
      const { bavail, bsize } = statfsSync(directory)
      writeFileSync(filler, Buffer.alloc(bavail * bsize))
    },
    free: () => rmSync(filler),
  }
}

/** The parts of a test. */
interface Around {
  readonly cx: Scenario
  readonly desk: OAuthDesk
  readonly state: Disk
  readonly journal: Disk
  readonly one: MadeTask
  readonly other: MadeTask
  /** What the list of leases holds. */
  readonly listed: () => string
}

/** A scenario with a task that has a token, one that has none, and disks that are about to fill up. */
async function onSmallDisks(t: Test, body: (around: Around) => Promise<void>): Promise<void> {
  const desk = await openOAuthDesk(t)
  const { oidc, withServer, repo, get } = desk
  const at = `${oidc.issuer}/token`
  const cx = new Scenario(
    withServer(
      `token: '${at}', revoke: '${at}/revocation?pad=${PAD}', introspect: '${at}/introspection'`,
    ),
  )
  const [stateDir, journalDir] = ['state', 'journal'].map((name) => path.join(cx.directory, name))
  const [state, journal] = [mountAt(stateDir!), mountAt(journalDir!)]
  try {
    await cx.start()
    const [one, other] = [await makeTask(cx, repo('one')), await makeTask(cx, repo('one'))]
    const listed = (): string => readFileSync(path.join(stateDir!, 'leases.ndjson'), 'utf8')
    await body({ cx, desk, state, journal, one, other, listed })
    for (const { id } of [one, other]) await revoke(cx, id)
    for (const token of oidc.tokens()) t.notOk(await oidc.isActive(token), 'nothing is left')
    t.match(await get(cx, await makeTask(cx, repo('one'))), OK)
    t.equal(await cx.metric('sallyport_assertions_total'), 0, 'no error of the proxy itself')
    t.equal(await cx.stop(), 0)
    t.equal(cx.run('verify', journalDir!).status, 0, 'the journal verifies')
  } finally {
    const told = t.passing() ? '' : `${cx.log()}\n${cx.summary()}`
    for (const directory of [stateDir!, journalDir!]) spawnSync('umount', ['-l', directory])
    await cx.stop('SIGKILL')
    rmSync(cx.directory, { recursive: true, force: true })
    if (told !== '') t.comment(told)
  }
}

void t.test('no room for the line before: nothing is minted', async (t) => {
  await onSmallDisks(t, async ({ cx, desk, state, other }) => {
    const { asked, get, open, sent } = desk
    const before = [asked(), sent.length]
    state.fill()
    t.match(await get(cx, other), REFUSED)
    t.match(await open(cx, other), OK, 'what needs no token goes on')
    t.strictSame([asked(), sent.length], before, 'nothing was asked, and nothing was sent')
    state.free()
    await until(async () => OK.test(await get(cx, other)), 'the call goes through')
  })
})

void t.test('no room for the line behind: what was minted is taken back, unused', async (t) => {
  await onSmallDisks(t, async ({ cx, desk, state, one, other, listed }) => {
    const { oidc, asked, get, open, sent } = desk
    t.match(await get(cx, one), OK)
    const before = [asked(), sent.length] as const
    state.fill()
    t.match(await get(cx, other), REFUSED)
    t.match(await open(cx, other), OK, 'what needs no token goes on')
    t.match(await get(cx, one), OK, 'and so does what is on the disk')
    t.equal(asked(), before[0] + 1, 'it was minted')
    const minted = oidc.tokens().at(-1) ?? ''
    t.notOk(sent.includes(minted), 'and not used')
    t.match(listed().trimEnd().split('\n').at(-1), /"phase":"(?:minting|gone)"/)
    await until(async () => !(await oidc.isActive(minted)), 'it is taken back')
    state.free()
    await until(async () => OK.test(await get(cx, other)), 'the call goes through')
    t.not(sent.at(-1), minted)
  })
})

void t.test('no room for records: nothing is minted', async (t) => {
  await onSmallDisks(t, async ({ cx, desk, journal, other }) => {
    const { asked, get, sent } = desk
    const before = [asked(), sent.length]
    journal.fill()
    let answer = ''
    await until(async () => {
      answer = await desk.open(cx, other)
      return !OK.test(answer)
    }, 'there is no room')
    t.match(answer, NO_RECORD)
    t.match(await get(cx, other), NO_RECORD)
    t.strictSame([asked(), sent.length], before, 'nothing was asked, and nothing was sent')
    journal.free()
    await until(async () => OK.test(await get(cx, other)), 'the call goes through')
  })
})

void t.test('no room for anything while it is minted', async (t) => {
  await onSmallDisks(t, async ({ cx, desk, state, journal, one, other }) => {
    const { oidc, asked, get, sent } = desk
    t.match(await get(cx, one), OK)
    const before = [asked(), sent.length] as const
    const { promise, resolve } = Promise.withResolvers<void>()
    oidc.hold = promise
    const answer = get(cx, other)
    await until(() => asked() > before[0], 'it is minted')
    state.fill()
    journal.fill()
    oidc.hold = undefined
    resolve()
    t.match(await answer, REFUSED)
    const minted = oidc.tokens().at(-1) ?? ''
    t.equal(sent.length, before[1], 'nothing was sent')
    await until(async () => !(await oidc.isActive(minted)), 'it is taken back')
    state.free()
    journal.free()
    await until(async () => OK.test(await get(cx, other)), 'the call goes through')
    t.not(sent.at(-1), minted)
    t.ok(
      cx
        .records()
        .some(
          ({ event, sallyport }) =>
            event.action === 'credential-unavailable' &&
            /written down/.test(String(sallyport.detail?.['problem'])),
        ),
      'why is on record',
    )
  })
})
