// Proves that what is minted is taken back: at once, again where it fails, over restarts, and told as it is where it cannot be.

import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import t, { type Test } from 'tap'

import { installationKey } from '../../../src/config/placeholder-key.ts'
import { leaseItem } from '../../../src/config/revocations.ts'
import type { LeaseStanding } from '../../../src/credentials/debt.ts'
import { HandleVault } from '../../../src/credentials/handle-vault.ts'
import {
  ProviderError,
  type Issuer,
  type Minted,
  type MintRequest,
  type Revocation,
  type RevocationHandle,
} from '../../../src/credentials/issuer.ts'
import { OwedLeases } from '../../../src/credentials/owed-leases.ts'
import { TakeBack } from '../../../src/credentials/take-back.ts'
import { trackLeases } from '../../../src/credentials/tracked-issuer.ts'
import { makeTask } from '../../../src/tasks/make-task.ts'
import type { Task } from '../../../src/tasks/task.ts'
import { definition } from '../../fixtures/task-desk.ts'

const SECRET = 'canary-lease-5d2f7a90c1e4b386'
const WAIT_MS = 2000

/** A provider that keeps what it gave. */
class Provider implements Issuer {
  readonly isStatic = false
  readonly live: Map<string, RevocationHandle> = new Map()
  readonly asked: RevocationHandle[] = []
  answer: () => Promise<Revocation> = () => Promise.resolve('confirmed')
  expiresAt: number | undefined = Date.now() + 3_600_000
  #count = 0

  mint(): Promise<Minted> {
    this.#count += 1
    const value = `${SECRET}-${this.#count}`
    const handle = { token: value, serial: this.#count }
    this.live.set(value, handle)
    const { expiresAt } = this
    return Promise.resolve({ material: { value }, expiresAt, handle, id: `id-${this.#count}` })
  }

  renew(minted: Minted): Promise<Minted> {
    if (!this.live.has(String(minted.handle?.['token']))) throw new ProviderError('unknown')
    return Promise.resolve({ ...minted, expiresAt: Date.now() + 7_200_000 })
  }

  async revoke(handle: RevocationHandle): Promise<Revocation> {
    this.asked.push(handle)
    const answer = await this.answer()
    if (answer === 'confirmed') this.live.delete(String(handle['token']))
    return answer
  }
}

interface Bench {
  readonly stateDir: string
  readonly takeBack: TakeBack
  readonly issuer: Issuer
  readonly told: LeaseStanding[]
  readonly late: LeaseStanding[]
  readonly problems: unknown[]
  readonly states: Map<string, 'live' | 'ending' | 'over'>
  readonly killed: Set<string>
}

interface Opened {
  readonly stateDir?: string
  readonly provider?: Issuer
  readonly source?: string
  readonly leasesMax?: number
  readonly timeoutMs?: number
  readonly onOutcome?: (standing: LeaseStanding) => void
}

function open(t: Test, opened: Opened = {}): Bench {
  const stateDir = opened.stateDir ?? mkdtempSync(path.join(tmpdir(), 'sallyport-leases-'))
  if (opened.stateDir === undefined) t.teardown(() => rmSync(stateDir, { recursive: true }))
  const [told, late, problems]: [LeaseStanding[], LeaseStanding[], unknown[]] = [[], [], []]
  const states: Bench['states'] = new Map()
  const killed = new Set<string>()
  const vault = new HandleVault(installationKey(stateDir, 'handles.key'))
  const now = Date.now
  const takeBack = new TakeBack({
    owed: new OwedLeases({ stateDir, vault, leasesMax: opened.leasesMax ?? 100, now }),
    limits: { providerTimeoutMs: opened.timeoutMs ?? 1000 },
    taskState: (id) => states.get(id) ?? 'live',
    isKilled: (name) => killed.has(name),
    onOutcome: opened.onOutcome ?? ((standing) => told.push(standing)),
    onLate: (standing) => late.push(standing),
    onProblem: (error) => problems.push(error),
    now,
  })
  t.teardown(() => takeBack.stop(0))
  const { provider = new Provider(), source = 'here' } = opened
  const issuer = trackLeases('api', source, provider, takeBack)
  return { stateDir, takeBack, issuer, told, late, problems, states, killed }
}

const aTask = (): Task => makeTask(definition(), Date.now(), undefined)

const request = (task: Task): MintRequest => ({
  task,
  above: [],
  notAfter: task.expiresAt,
  signal: AbortSignal.timeout(1000),
})

async function until(isSo: () => boolean): Promise<void> {
  for (let left = 1000; !isSo(); left -= 1) {
    if (left === 0) throw new Error('it did not come to be')
    await delay(10)
  }
}

/** Everything that is in the state directory. */
const written = (stateDir: string): string =>
  readdirSync(stateDir)
    .map((name) => readFileSync(path.join(stateDir, name), 'latin1'))
    .join('\n')

async function end({ takeBack, states }: Bench, task: Task): Promise<readonly LeaseStanding[]> {
  states.set(task.id, 'ending')
  takeBack.endTask(task.id)
  const standings = await takeBack.standingsOf(task.id, WAIT_MS)
  states.set(task.id, 'over')
  takeBack.receiptKept(task.id)
  return standings
}

void t.test('what a task held is taken back at its end, of no other task', async (t) => {
  const provider = new Provider()
  const bench = open(t, { provider })
  const [task, other] = [aTask(), aTask()]
  const { issuer, takeBack, told } = bench
  const minted = await issuer.mint(request(task))
  await issuer.mint(request(other))
  t.equal(minted.material['value'], `${SECRET}-1`)
  t.match(minted.handle, { lease: /^l_[0-9a-z]{26}$/ }, 'whoever holds leases holds a number')
  t.equal(takeBack.pending, 0)
  const [standing] = await end(bench, task)
  t.match(standing, { credential: 'api', task: task.id, id: 'id-1', state: 'confirmed' })
  t.strictSame([...provider.live.keys()], [`${SECRET}-2`])
  t.match(told, [{ state: 'confirmed', task: task.id }])
  t.equal(takeBack.pending, 0)
  await t.rejects(issuer.mint(request(task)), { message: 'the task is over' })
  t.match(leaseItem(standing!, 'now'), { outcome: 'ended', name: 'api', detail: /id-1.*seen not/ })
})

void t.test(
  'the handle is on the disk before the lease is used, and in no file in clear',
  async (t) => {
    const provider = new Provider()
    const { issuer, stateDir } = open(t, { provider })
    await issuer.mint(request(aTask()))
    const text = written(stateDir)
    t.match(text, /"phase":"held"/)
    t.notMatch(text, SECRET)
    t.notMatch(text, Buffer.from(SECRET).toString('base64').slice(4, 30))
    for (const name of ['leases.ndjson', 'handles.key'])
      t.equal(statSync(path.join(stateDir, name)).mode & 0o077, 0, name)
  },
)

void t.test('an end that is no date is none, and telling never stops trying', async (t) => {
  const provider = new Provider()
  provider.expiresAt = Date.now() + 1e20
  provider.answer = () => Promise.reject(new ProviderError('not now'))
  const onOutcome = (): never => {
    throw new Error('nobody listens')
  }
  const bench = open(t, { provider, onOutcome })
  const task = aTask()
  await bench.issuer.mint(request(task))
  bench.states.set(task.id, 'ending')
  bench.takeBack.endTask(task.id)
  await until(() => provider.asked.length > 0)
  provider.answer = () => Promise.resolve('confirmed')
  await until(() => bench.takeBack.pending === 0)
  t.equal(provider.live.size, 0)
  t.match(bench.problems, [{ message: 'nobody listens' }])
  const [standing] = await bench.takeBack.standingsOf(task.id, WAIT_MS)
  t.match(standing, { state: 'confirmed', expiresAt: undefined })
})

void t.test('what a process left that died is taken back by the next one', async (t) => {
  const provider = new Provider()
  const before = open(t, { provider })
  const [task, over] = [aTask(), aTask()]
  await before.issuer.mint(request(task))
  await before.issuer.mint(request(over))
  // A torn end, as a crash in the middle of a line leaves it.
  appendFileSync(path.join(before.stateDir, 'leases.ndjson'), '{"id":"l_torn","phase":"he')
  const after = open(t, { provider, stateDir: before.stateDir })
  after.states.set(over.id, 'over')
  after.takeBack.begin()
  await until(() => provider.live.size === 0)
  await until(() => after.late.length > 0)
  t.match(after.late, [{ task: over.id, state: 'confirmed' }], 'its receipt says so')
  const third = open(t, { provider, stateDir: before.stateDir })
  third.takeBack.begin()
  t.equal(third.takeBack.pending, 0, 'nothing is left')
  t.equal(provider.asked.length, 2)
})

void t.test('a provider that is down at the end is asked until it answers', async (t) => {
  const provider = new Provider()
  const bench = open(t, { provider })
  const task = aTask()
  await bench.issuer.mint(request(task))
  provider.answer = () => Promise.reject(new ProviderError('the provider: dial-failed'))
  const [standing] = await end(bench, task)
  t.match(standing, { state: 'pending', why: 'the provider: dial-failed' })
  const item = leaseItem(standing!, 'now')
  t.match(item, { outcome: 'unconfirmed', detail: /dial-failed; it is tried again/ })
  t.equal(item.residualExposureUntil, new Date(provider.expiresAt!).toISOString())
  t.equal(bench.takeBack.pending, 1)
  provider.answer = () => Promise.resolve('confirmed')
  await until(() => bench.late.length > 0)
  t.match(bench.late, [{ state: 'confirmed', lease: standing!.lease }])
  t.match(bench.told, [{ state: 'pending' }, { state: 'confirmed' }], 'told once each')
  t.equal(bench.takeBack.pending, 0)
  t.ok(bench.takeBack.failures > 0)
})

void t.test('a provider that wants to be left alone is', async (t) => {
  const provider = new Provider()
  const bench = open(t, { provider })
  const task = aTask()
  await bench.issuer.mint(request(task))
  provider.answer = () =>
    Promise.reject(new ProviderError('rate-limited', { retryAfterMs: 3_600_000 }))
  await end(bench, task)
  bench.takeBack.endTask(task.id)
  await delay(1500)
  t.equal(provider.asked.length, 1)
})

void t.test('one that never answers holds nobody up', async (t) => {
  const provider = new Provider()
  const bench = open(t, { provider, timeoutMs: 50 })
  const task = aTask()
  await bench.issuer.mint(request(task))
  provider.answer = () => new Promise(() => undefined)
  t.match(await end(bench, task), [{ state: 'pending', why: /not answer in time/ }])
})

void t.test('what is only said to be gone is not called gone', async (t) => {
  const provider = new Provider()
  const bench = open(t, { provider })
  const task = aTask()
  await bench.issuer.mint(request(task))
  provider.answer = () => Promise.resolve('accepted')
  const [standing] = await end(bench, task)
  t.match(standing, { state: 'accepted' })
  t.match(leaseItem(standing!, 'now'), { outcome: 'unconfirmed', detail: /nothing shows/ })
  t.equal(provider.live.size, 1)
  provider.answer = () => Promise.resolve('confirmed')
  await until(() => bench.late.length > 0)
  t.match(bench.late, [{ state: 'confirmed' }], 'it is looked at again')
})

void t.test(
  'R64: what nobody can take back is exposed until it expires, and says so',
  async (t) => {
    const provider = new Provider()
    const irrevocable: Issuer = {
      isStatic: false,
      mint: async () => ({ ...(await provider.mint()), handle: undefined }),
    }
    const bench = open(t, { provider: irrevocable })
    const [task, endless] = [aTask(), aTask()]
    provider.expiresAt = Date.now() + 800
    await bench.issuer.mint(request(task))
    const [standing] = await end(bench, task)
    t.match(leaseItem(standing!, 'now'), {
      outcome: 'unconfirmed',
      residualExposureUntil: new Date(provider.expiresAt).toISOString(),
      detail: /cannot take it back/,
    })
    await until(() => bench.late.length > 0)
    t.match(bench.late, [{ state: 'expired' }])
    t.match(leaseItem(bench.late[0]!, 'now'), { outcome: 'ended', detail: /expired/ })
    provider.expiresAt = undefined
    await bench.issuer.mint(request(endless))
    const [forever] = await end(bench, endless)
    t.match(leaseItem(forever!, 'now'), { outcome: 'unconfirmed', residualExposureUntil: null })
    t.equal(bench.takeBack.pending, 0, 'nothing more can be done about it')
  },
)

void t.test(
  'what cannot be read any more is told, and what takes it back shown to no other provider',
  async (t) => {
    const provider = new Provider()
    const before = open(t, { provider })
    const task = aTask()
    await before.issuer.mint(request(task))
    rmSync(path.join(before.stateDir, 'handles.key'))
    const keyless = open(t, { provider, stateDir: before.stateDir })
    keyless.takeBack.begin()
    await until(() => keyless.told.length > 0)
    t.match(keyless.told, [{ state: 'unrevocable', why: /cannot be read/, expiresAt: Number }])
    t.equal(keyless.takeBack.pending, 1, 'until it expires')
    const moved = open(t, { provider, stateDir: before.stateDir, source: 'elsewhere' })
    moved.takeBack.begin()
    await until(() => moved.told.length > 0)
    t.match(moved.told, [{ state: 'unrevocable', why: /comes from elsewhere/ }])
    t.equal(provider.asked.length, 0)
  },
)

void t.test(
  'a mint that was under way when the process died may have come to something',
  async (t) => {
    const before = open(t, {
      provider: { isStatic: false, mint: () => new Promise(() => undefined) },
    })
    const task = aTask()
    void before.issuer.mint(request(task))
    const after = open(t, { stateDir: before.stateDir })
    after.takeBack.begin()
    await until(() => after.told.length > 0)
    t.match(after.told, [{ state: 'unrevocable', why: /may exist/, task: task.id }])
    t.match(await end(after, task), [{ state: 'unrevocable' }], 'the receipt says so')
  },
)

void t.test('what comes back after the end is taken back, and given to nobody', async (t) => {
  const provider = new Provider()
  const gate = Promise.withResolvers<void>()
  const slow: Issuer = {
    isStatic: false,
    mint: () => gate.promise.then(() => provider.mint()),
    revoke: (handle) => provider.revoke(handle),
  }
  const bench = open(t, { provider: slow })
  const task = aTask()
  const minting = bench.issuer.mint(request(task))
  bench.states.set(task.id, 'ending')
  bench.takeBack.endTask(task.id)
  t.match(await bench.takeBack.standingsOf(task.id, 10), [{ state: 'pending' }])
  gate.resolve()
  await t.rejects(minting, { message: 'the task is over' })
  bench.states.set(task.id, 'over')
  await until(() => provider.live.size === 0)
  bench.takeBack.receiptKept(task.id)
  await until(() => bench.late.length > 0)
  t.match(bench.late, [{ state: 'confirmed' }])
})

void t.test(
  'where nothing can be written, nothing is minted, and what was is not used',
  async (t) => {
    const provider = new Provider()
    // `owedLeasesMax`.
    const full = open(t, { provider, leasesMax: 1 })
    await full.issuer.mint(request(aTask()))
    await t.rejects(full.issuer.mint(request(aTask())), { message: /too many leases/ })
    t.equal(provider.live.size, 1)

    const huge: Issuer = {
      isStatic: false,
      mint: async () => {
        const minted = await provider.mint()
        return { ...minted, handle: { ...minted.handle, padding: 'x'.repeat(100_000) } }
      },
      revoke: (handle) => provider.revoke(handle),
    }
    const bench = open(t, { provider: huge })
    await t.rejects(bench.issuer.mint(request(aTask())), { message: /cannot be written down/ })
    await until(() => provider.live.size === 1)
    t.match(bench.told, [{ state: 'confirmed' }], 'taken back at once')

    const broken = open(t, { provider })
    await broken.takeBack.stop(0)
    await t.rejects(broken.issuer.mint(request(aTask())), { message: /the task is over/ })
  },
)

void t.test('a prolonged lease is one and the same', async (t) => {
  const provider = new Provider()
  const bench = open(t, { provider })
  const task = aTask()
  const minted = await bench.issuer.mint(request(task))
  const prolonged = await bench.issuer.renew!(minted, request(task))
  t.strictSame(prolonged.handle, minted.handle)
  t.equal(await bench.issuer.revoke!(prolonged.handle!, AbortSignal.timeout(1000)), 'confirmed')
  t.equal(provider.live.size, 0)
  t.equal(await bench.issuer.revoke!(prolonged.handle!, AbortSignal.timeout(1000)), 'confirmed')
  t.equal(provider.asked.length, 1, 'what is gone is asked of nobody')
  await t.rejects(bench.issuer.renew!(prolonged, request(task)), { message: 'it is taken back' })
})

void t.test(
  'a credential that is switched off is taken back from all tasks, and not minted',
  async (t) => {
    const provider = new Provider()
    const bench = open(t, { provider })
    await bench.issuer.mint(request(aTask()))
    await bench.issuer.mint(request(aTask()))
    bench.killed.add('api')
    bench.takeBack.releaseCredential('other')
    bench.takeBack.releaseCredential('api')
    await until(() => provider.live.size === 0)
    await t.rejects(bench.issuer.mint(request(aTask())), { message: 'it is switched off' })
    bench.killed.clear()
    await bench.issuer.mint(request(aTask()))
  },
)

void t.test('a stop takes back what is held, so far as there is time', async (t) => {
  const provider = new Provider()
  const bench = open(t, { provider })
  await bench.issuer.mint(request(aTask()))
  await bench.takeBack.stop(WAIT_MS)
  t.equal(provider.live.size, 0)
})

void t.test('a static source is no lease', async (t) => {
  const bench = open(t)
  const fixed: Issuer = { isStatic: true, mint: () => new Provider().mint() }
  t.equal(trackLeases('fixed', 'here', fixed, bench.takeBack), fixed)
})

void t.test('a sealed handle opens for what it belongs to, and for nothing else', (t) => {
  const vault = new HandleVault(new Uint8Array(32).fill(7))
  const sealed = vault.seal({ token: SECRET, n: 1 }, 'one')
  t.strictSame(vault.open(sealed, 'one'), { token: SECRET, n: 1 })
  t.equal(vault.open(sealed, 'other'), undefined)
  const changed = `${sealed.startsWith('A') ? 'B' : 'A'}${sealed.slice(1)}`
  t.equal(vault.open(changed, 'one'), undefined)
  t.equal(vault.open('', 'one'), undefined)
  t.equal(new HandleVault(new Uint8Array(32)).open(sealed, 'one'), undefined)
  t.not(vault.seal({ n: 1 }, 'one'), vault.seal({ n: 1 }, 'one'))
  t.end()
})
