// Pushes that git itself made, read the way rules see them; whether one keeps what was there, git says too.

import { randomBytes, randomInt } from 'node:crypto'

import t, { type Test as Tap } from 'tap'

import { inflateEntry, readEntryHeader } from '../../../src/inspect/git/pack-entry.ts'
import type { Push } from '../../../src/inspect/git/push.ts'
import { BACKEND, cloneWithCommit, openDesk, readPush, tell, type Desk } from './git-support.ts'

const ABSENT = BACKEND === '' ? 'git has no http-backend here' : false

const OFFSET_DELTA = 6
const REFERENCE_DELTA = 7

// The types of all entries of a pack, as their headers say them.
function entryTypes(pack: Buffer): number[] {
  const types: number[] = []
  for (let at = 12; at < pack.length - 20;) {
    const rest = pack.subarray(at)
    const header = readEntryHeader(rest, 20)
    if (typeof header === 'string') throw new Error(header)
    const inflated = inflateEntry(rest.subarray(header.headerBytes), header.size)
    if (typeof inflated === 'string') throw new Error(inflated)
    types.push((rest[0]! >> 4) & 7)
    at += header.headerBytes + inflated.deflatedBytes
  }
  return types
}

// The last push, read whole, byte by byte and in odd pieces, which is to say the same.
function readLast(t: Tap, desk: Desk): Push {
  const body = desk.lastPush()
  const push = readPush(body)
  t.strictSame(readPush(body, 1), push)
  t.strictSame(readPush(body, 37), push)
  if (push.hasPack)
    t.equal(body.toString('latin1', push.commandBytes, push.commandBytes + 4), 'PACK')
  else t.equal(body.length, push.commandBytes)
  return push
}

for (const format of ['sha1', 'sha256'] as const)
  void t.test(
    `pushes of ${format} repositories are read as git made them`,
    { skip: ABSENT },
    async (t) => {
      const desk = await openDesk(format)
      t.teardown(() => desk.close())
      const push = async (...words: string[]): Promise<string[]> => {
        await desk.run('-C', 'work', 'push', '-q', ...words)
        return tell(readLast(t, desk))
      }
      await cloneWithCommit(desk, format)
      t.strictSame(tell(readLast(t, desk)), ['create refs/heads/main'])

      const second = await desk.commit('work', 'second')
      t.strictSame(await push('origin', 'main'), ['update refs/heads/main fast-forward'])
      for (let at = 0; at < 20; at += 1) await desk.commit('work', `file${at}`)
      t.strictSame(await push('origin', 'main'), ['update refs/heads/main fast-forward'])

      t.strictSame(await push('origin', 'HEAD~3:refs/heads/agent/ünïcode'), [
        'create refs/heads/agent/ünïcode',
      ])
      // What the server has already is not sent again, so nothing shows where it comes from.
      t.strictSame(await push('origin', 'HEAD~1:refs/heads/agent/ünïcode'), [
        'update refs/heads/agent/ünïcode unproven',
      ])
      await desk.run('-C', 'work', 'tag', 'light')
      await desk.run('-C', 'work', 'tag', '-a', '-m', 'words', 'heavy')
      t.strictSame(await push('origin', 'light', 'heavy'), [
        'create refs/tags/light',
        'create refs/tags/heavy',
      ])
      await desk.commit('work', 'behind-tag')
      await desk.run('-C', 'work', 'tag', '-f', 'light')
      t.strictSame(await push('--force', 'origin', 'light', 'main'), [
        'update refs/heads/main fast-forward',
        'update refs/tags/light unproven',
      ])
      t.strictSame(await push('origin', '--delete', 'agent/ünïcode', 'light'), [
        'delete refs/heads/agent/ünïcode',
        'delete refs/tags/light',
      ])

      await desk.run('-C', 'work', 'checkout', '-q', '-b', 'side', second)
      await desk.commit('work', 'on-the-side')
      await desk.run('-C', 'work', 'checkout', '-q', 'main')
      await desk.run('-C', 'work', 'merge', '-q', '--no-edit', 'side')
      t.strictSame(await push('origin', 'main', 'side'), [
        'update refs/heads/main fast-forward',
        'create refs/heads/side',
      ])

      await desk.run('-C', 'work', 'commit', '-q', '--amend', '-m', 'other words')
      t.strictSame(await push('--force', 'origin', 'main'), ['update refs/heads/main unproven'])
      await desk.run('-C', 'work', 'reset', '-q', '--hard', 'HEAD~2')
      t.strictSame(await push('--force', 'origin', 'main'), ['update refs/heads/main unproven'])
      await desk.commit('work', 'after-the-reset')
      t.strictSame(await push('origin', 'main'), ['update refs/heads/main fast-forward'])
    },
  )

void t.test('a push from a shallow clone is read', { skip: ABSENT }, async (t) => {
  const desk = await openDesk()
  t.teardown(() => desk.close())
  await cloneWithCommit(desk)
  for (const name of ['a', 'b', 'c']) await desk.commit('work', name)
  await desk.run('-C', 'work', 'push', '-q', 'origin', 'main')
  await desk.run('clone', '-q', '--depth=1', desk.url, 'shallow')
  const tip = await desk.run('-C', 'shallow', 'rev-parse', 'HEAD')
  await desk.commit('shallow', 'd')
  await desk.run('-C', 'shallow', 'push', '-q', 'origin', 'main')
  t.match(desk.lastPush().toString('latin1'), `shallow ${tip}`)
  t.strictSame(tell(readLast(t, desk)), ['update refs/heads/main fast-forward'])
  await desk.run('-C', 'shallow', 'push', '-q', 'origin', 'main')
  t.strictSame(
    tell(readPush(desk.seen.findLast(({ request }) => request?.step === 'push')!.body)),
    ['update refs/heads/main fast-forward'],
  )
})

void t.test('options, an atomic push and a quiet one are read', { skip: ABSENT }, async (t) => {
  const desk = await openDesk()
  t.teardown(() => desk.close())
  await cloneWithCommit(desk)
  t.strictSame(readLast(t, desk).options, [])
  t.equal(readLast(t, desk).capabilities.atomic, false)
  await desk.commit('work', 'a')
  await desk.run(
    '-C',
    'work',
    'push',
    '-q',
    '-o',
    'ci.skip',
    '-o',
    'title=two words',
    '--atomic',
    'origin',
    'main',
    'main:refs/heads/agent/x',
  )
  const push = readLast(t, desk)
  t.strictSame(push.options, ['ci.skip', 'title=two words'])
  t.strictSame(push.capabilities, { reportStatus: true, sideBand: true, atomic: true })
  t.strictSame(tell(push), ['update refs/heads/main fast-forward', 'create refs/heads/agent/x'])
})

void t.test('commits that are deltas of each other are read', { skip: ABSENT }, async (t) => {
  const desk = await openDesk()
  t.teardown(() => desk.close())
  await cloneWithCommit(desk)
  const lines = Array.from({ length: 60 }, () => randomBytes(30).toString('hex'))
  for (let at = 0; at < 60; at += 1) {
    lines[at] = `turn ${at}`
    await desk.run('-C', 'work', 'commit', '-q', '--allow-empty', '-m', lines.join('\n'))
  }
  await desk.run('-C', 'work', 'repack', '-q', '-adf', '--depth=50', '--window=50')
  const first = await desk.run('-C', 'work', 'rev-parse', 'HEAD~60')
  for (const [withOffsets, type] of [
    ['true', OFFSET_DELTA],
    ['false', REFERENCE_DELTA],
  ] as const) {
    await desk.run('-C', 'acme/widgets.git', 'update-ref', 'refs/heads/main', first)
    await desk.run('-C', 'acme/widgets.git', 'config', 'repack.useDeltaBaseOffset', withOffsets)
    await desk.run('-C', 'work', 'push', '-q', 'origin', 'main')
    const push = readLast(t, desk)
    const types = entryTypes(desk.lastPush().subarray(push.commandBytes))
    t.ok(types.filter((one) => one === type).length > 30, 'most of them are deltas')
    t.strictSame(tell(push), ['update refs/heads/main fast-forward'])
  }
})

void t.test('what is shown to follow is what git says follows', { skip: ABSENT }, async (t) => {
  const desk = await openDesk()
  t.teardown(() => desk.close())
  await desk.run('init', '-q', '-b', 'main', 'work')
  const tree = await desk.run('-C', 'work', 'mktree')
  const commits: string[] = []
  for (let at = 0; at < 16; at += 1) {
    // Some have no parents, some one, some two or three of any age.
    const parents = commits.filter(() => randomInt(commits.length) < 2).slice(-3)
    const words = parents.flatMap((parent) => ['-p', parent])
    commits.push(await desk.run('-C', 'work', 'commit-tree', tree, '-m', `${at}`, ...words))
  }
  const seen = { 'fast-forward': 0, unproven: 0 }
  for (let turn = 0; turn < 16; turn += 1) {
    const at = 4 + randomInt(12)
    const [after = '', before = ''] = [commits[at], commits[turn < 14 ? randomInt(at) : 15]]
    if (before === after) continue
    await desk.run('init', '-q', '--bare', `acme/${turn}.git`)
    await desk.run('-C', `acme/${turn}.git`, 'config', 'http.receivepack', 'true')
    const url = desk.url.replace('widgets', String(turn))
    await desk.run('-C', 'work', 'push', '-q', url, `${before}:refs/heads/x`)
    await desk.run('-C', 'work', 'push', '-q', '--force', url, `${after}:refs/heads/x`)
    const { status } = await desk.git('-C', 'work', 'merge-base', '--is-ancestor', before, after)
    const update = status === 0 ? 'fast-forward' : 'unproven'
    seen[update] += 1
    t.strictSame(tell(readPush(desk.lastPush())), [`update refs/heads/x ${update}`])
  }
  t.comment(seen)
})

void t.test(
  'of a large push only the beginning is read',
  { skip: ABSENT, timeout: 60_000 },
  async (t) => {
    const desk = await openDesk()
    t.teardown(() => desk.close())
    await cloneWithCommit(desk)
    await desk.commit('work', 'large', randomBytes(12_000_000).toString('base64'))
    await desk.run('-C', 'work', 'push', '-q', 'origin', 'main')
    const body = desk.lastPush()
    t.ok(body.length > 9_000_000)
    t.strictSame(tell(readPush(body.subarray(0, 4096))), ['update refs/heads/main fast-forward'])
    const probe = desk.seen.find(
      ({ request, body: bytes }) => request?.step === 'push' && bytes.length === 4,
    )
    t.equal(probe?.body.toString(), '0000', 'git asks first whether it may')
    t.strictSame(tell(readPush(probe!.body)), [])
  },
)
