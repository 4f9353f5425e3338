// The life of leases, by a clock of the test's own: whose they are, when they are refreshed, what happens while a provider fails,
// what is left when a task ends.

import t from 'tap'

import { ProviderError, type Minted } from '../../../src/credentials/issuer.ts'
import { reveal } from '../../../src/credentials/reveal.ts'
import type { Secret } from '../../../src/credentials/secret.ts'
import { FakeTiming, HOUR, makeWorld, settle, START, taskOf, type World } from './lease-support.ts'

const MINUTE = 60_000

void t.test('R20: a task has one lease of a credential, and two tasks have two', async (t) => {
  const { ask, issuer, leases, told, tasks } = makeWorld()
  tasks.set('t_1', taskOf('t_1', { expiresAt: START + 5 * MINUTE }))
  t.equal(await ask('t_1'), 'minted-value-1')
  t.equal(await ask('t_1'), 'minted-value-1')
  t.equal(await ask('t_2'), 'minted-value-2')
  t.strictSame(
    issuer.requests.map(({ task, notAfter }) => [task.id, notAfter]),
    [
      ['t_1', START + 5 * MINUTE],
      ['t_2', START + 8 * HOUR],
    ],
    'the provider is told when the task ends',
  )
  t.strictSame(
    told.leased.map(({ taskId, credential, id }) => [taskId, credential, id]),
    [
      ['t_1', 'api', 'id-1'],
      ['t_2', 'api', 'id-2'],
    ],
  )
  t.equal(leases.standing('api')?.leases, 2)
  t.equal(leases.standing('api')?.endsAt, START + 5 * MINUTE, 'with its task')
})

void t.test('R20: no lease is used beyond its task, whatever the provider says', async (t) => {
  const { ask, timing, tasks, issuer } = makeWorld()
  tasks.set('t_1', taskOf('t_1', { expiresAt: START + MINUTE }))
  t.equal(await ask('t_1'), 'minted-value-1')
  await timing.advance(MINUTE)
  t.match(await ask('t_1'), /^credential-unavailable: the task is not active/)
  t.equal(issuer.requests.length, 1, 'nothing is minted for what is over')
  tasks.delete('t_1')
  t.match(await ask('t_1'), /^credential-unavailable: the task is not active/)
})

void t.test('many that ask at once wait for one mint, and share what comes of it', async (t) => {
  const { ask, issuer } = makeWorld()
  let give: (minted: Minted) => void = () => undefined
  issuer.answer = () => new Promise<Minted>((resolve) => (give = resolve))
  const asked = Promise.all(Array.from({ length: 20 }, () => ask('t_1')))
  await settle()
  give(issuer.give(1))
  t.strictSame([...new Set(await asked)], ['minted-value-1'])
  t.equal(issuer.requests.length, 1)
})

void t.test('a lease is refreshed before it ends, on use and by itself', async (t) => {
  const world = makeWorld()
  const { ask, timing, issuer, told, leases } = world
  await ask('t_1')
  await timing.advance(44 * MINUTE)
  t.equal(await ask('t_1'), 'minted-value-1')
  await timing.advance(MINUTE + 10_000)
  t.equal(issuer.requests.length, 2, 'by a timer, at three quarters of its life')
  t.equal(await ask('t_1'), 'minted-value-2')
  t.equal(told.replaced.length, 0, 'what began with the one before may go on')
  t.equal(leases.standing('api')?.leases, 2)
  await timing.advance(MINUTE)
  t.strictSame(
    told.replaced.map(({ id }) => id),
    ['id-1'],
    'then it is taken back',
  )
  t.strictSame(told.refreshed, [{ by: 'mint', cause: 'due', isSame: false }])
})

void t.test('chance makes a refresh earlier, never later', async (t) => {
  const { ask, timing, issuer } = makeWorld()
  timing.chance = 0.999
  await ask('t_1')
  await timing.advance(35 * MINUTE)
  t.equal(issuer.requests.length, 1)
  await timing.advance(2 * MINUTE)
  t.equal(issuer.requests.length, 2)
})

void t.test('what nobody uses any more is not refreshed for ever', async (t) => {
  const { ask, timing, issuer, leases } = makeWorld()
  await ask('t_1')
  await timing.advance(5 * HOUR)
  t.equal(issuer.requests.length, 2, 'once, and then it lapses')
  t.equal(leases.standing('api')?.state, 'idle')
  t.equal(await ask('t_1'), 'minted-value-3')
})

void t.test(
  'a lease that lasts as long as its task is not refreshed; extended, it is',
  async (t) => {
    const { ask, timing, issuer, tasks } = makeWorld()
    tasks.set('t_1', taskOf('t_1', { expiresAt: START + HOUR }))
    await ask('t_1')
    await timing.advance(50 * MINUTE)
    await ask('t_1')
    t.equal(issuer.requests.length, 1)
    tasks.set('t_1', taskOf('t_1', { expiresAt: START + 3 * HOUR }))
    t.equal(await ask('t_1'), 'minted-value-1', 'it goes on')
    await settle()
    t.equal(await ask('t_1'), 'minted-value-2')
    t.equal(issuer.requests.at(-1)?.notAfter, START + 3 * HOUR)
  },
)

void t.test('a lease without an end lasts as long as its task, extended or not', async (t) => {
  const { ask, timing, issuer, tasks } = makeWorld()
  issuer.lifeMs = undefined
  tasks.set('t_1', taskOf('t_1', { expiresAt: START + HOUR }))
  await ask('t_1')
  tasks.set('t_1', taskOf('t_1', { expiresAt: START + 3 * HOUR }))
  await timing.advance(2 * HOUR)
  t.equal(await ask('t_1'), 'minted-value-1')
  t.equal(issuer.requests.length, 1)
})

void t.test('a suspended task has nothing refreshed', async (t) => {
  const { ask, timing, issuer, tasks } = makeWorld()
  await ask('t_1')
  const task = tasks.get('t_1')!
  tasks.delete('t_1')
  await timing.advance(50 * MINUTE)
  t.equal(issuer.requests.length, 1)
  t.match(await ask('t_1'), /the task is not active/)
  tasks.set('t_1', task)
  t.equal(await ask('t_1'), 'minted-value-1', 'once it goes on, it has it as before')
  await settle()
  t.equal(issuer.requests.length, 2)
})

void t.test(
  'an issuer that renews is asked for that, and for a new one at the end of it',
  async (t) => {
    const { ask, timing, issuer, told } = makeWorld()
    let renewed = 0
    let lifeMs = HOUR
    issuer.renew = async (minted) => {
      renewed += 1
      return { ...minted, expiresAt: Math.max(minted.expiresAt ?? 0, timing.now() + lifeMs) }
    }
    await ask('t_1')
    await timing.advance(46 * MINUTE)
    t.strictSame([renewed, issuer.requests.length], [1, 1])
    t.equal(await ask('t_1'), 'minted-value-1')
    t.strictSame(told.refreshed, [{ by: 'renewal', cause: 'due', isSame: true }])
    lifeMs = 0
    await timing.advance(46 * MINUTE)
    t.strictSame([renewed, issuer.requests.length], [2, 2], 'it was not prolonged any more')
    t.equal(await ask('t_1'), 'minted-value-2')
    await timing.advance(MINUTE)
    t.strictSame(
      told.replaced.map(({ id }) => id),
      ['id-1'],
    )
  },
)

void t.test(
  'what cannot be renewed for good is minted, and what cannot just now is tried again',
  async (t) => {
    const { ask, timing, issuer } = makeWorld()
    let isLasting = false
    issuer.renew = () => Promise.reject(new ProviderError('no renewal', { isLasting }))
    await ask('t_1')
    await timing.advance(46 * MINUTE)
    t.equal(issuer.requests.length, 1)
    t.equal(await ask('t_1'), 'minted-value-1')
    isLasting = true
    await timing.advance(2 * MINUTE)
    t.equal(issuer.requests.length, 2)
  },
)

void t.test(
  'while the refresh fails the lease goes on to its end, then calls are refused',
  async (t) => {
    const { ask, timing, issuer, told, leases } = makeWorld()
    await ask('t_1')
    issuer.answer = () => {
      throw new ProviderError('the provider is away')
    }
    await timing.advance(55 * MINUTE)
    t.equal(await ask('t_1'), 'minted-value-1')
    t.strictSame(told.failed[0], {
      problem: 'the provider is away',
      isLasting: false,
      retryAt: told.failed[0]?.retryAt,
      credential: 'api',
      taskId: 't_1',
      isUsable: true,
      isNew: true,
    })
    t.match(leases.standing('api'), { state: 'available', problem: 'the provider is away' })
    await timing.advance(6 * MINUTE)
    t.match(await ask('t_1'), /^credential-unavailable: the provider is away \(\d+\)$/)
    t.match(leases.standing('api'), { state: 'backing-off' })
    t.equal(
      told.failed.filter(({ isNew }) => isNew).length,
      1,
      'what is wrong is new once, however often it is tried',
    )
    issuer.answer = (_request, at) => issuer.give(at)
    await timing.advance(MINUTE)
    t.match(await ask('t_1'), /^minted-value-/)
    t.equal(leases.standing('api')?.problem, undefined)
  },
)

void t.test(
  'a provider that fails is left alone, longer each time, and calls are told how long',
  async (t) => {
    const { ask, timing, issuer, leases } = makeWorld()
    issuer.answer = () => {
      throw new ProviderError('it is away')
    }
    t.equal(await ask('t_1'), 'credential-unavailable: it is away (1)')
    for (let times = 0; times < 50; times += 1) await ask('t_1')
    t.equal(issuer.requests.length, 1, 'it is asked once for all of them')
    const waits: number[] = []
    for (let times = 0; times < 10; times += 1) {
      const { retryAt = 0 } = leases.standing('api') ?? {}
      waits.push(retryAt - timing.now())
      await timing.advance(retryAt - timing.now())
      await ask('t_1')
    }
    t.strictSame(waits.slice(0, 3), [500, 1000, 2000])
    t.equal(waits.at(-1), 30_000, 'half of a minute at the least, a minute at the most')
    t.equal(issuer.requests.length, 11)
    t.equal(await ask('t_2', 'other'), 'minted-value-1', 'other credentials go on')
  },
)

void t.test(
  'what somebody has to mend is asked for seldom, and a wait that is asked for is kept',
  async (t) => {
    const { ask, timing, issuer, other, leases } = makeWorld()
    issuer.answer = () => {
      throw new ProviderError('it refuses us', { isLasting: true })
    }
    other.answer = () => {
      throw new ProviderError('too many', { retryAfterMs: 90_000 })
    }
    t.equal(await ask('t_1'), 'credential-unavailable: it refuses us (15)')
    t.equal(leases.standing('api')?.state, 'unavailable')
    t.equal(await ask('t_1', 'other'), 'credential-unavailable: too many (90)')
    await timing.advance(80_000)
    await ask('t_1', 'other')
    t.equal(other.requests.length, 1)
    await timing.advance(10_001)
    await ask('t_1', 'other')
    t.equal(other.requests.length, 2)
  },
)

void t.test('one task whose lease is refused takes nothing from another', async (t) => {
  const { ask, issuer } = makeWorld()
  issuer.answer = ({ task }, at) => {
    if (task.id === 't_1') throw new ProviderError('the task has no param `repo`')
    return issuer.give(at)
  }
  t.match(await ask('t_1'), /no param/)
  t.equal(await ask('t_2'), 'minted-value-2')
  t.match(await ask('t_1'), /no param/)
})

void t.test(
  'a provider that does not answer is not waited for, and what comes late is told',
  async (t) => {
    const { ask, timing, issuer, told } = makeWorld({ providerTimeoutMs: 5000 })
    let give: (minted: Minted) => void = () => undefined
    issuer.answer = () => new Promise<Minted>((resolve) => (give = resolve))
    const asked = ask('t_1')
    await timing.advance(5000)
    t.equal(await asked, 'credential-unavailable: the provider does not answer in time (1)')
    t.equal(issuer.requests[0]?.signal.aborted, true)
    give(issuer.give(1))
    await settle()
    t.strictSame(
      told.orphans.map(({ id }) => id),
      ['id-1'],
    )
  },
)

void t.test(
  'clocks that differ: what has expired, or has no end that can be read, is not used',
  async (t) => {
    for (const expiresAt of [START - HOUR, START, START + 500, Number.NaN, Infinity, -Infinity]) {
      const { ask, issuer, told } = makeWorld()
      issuer.answer = (_request, at) => ({ ...issuer.give(at), expiresAt })
      t.match(await ask('t_1'), /^credential-unavailable: what it gave has/, String(expiresAt))
      t.equal(told.replaced.length, 1, 'it is taken back')
      t.equal(told.leased.length, 0)
    }
    const { ask, issuer, timing, tasks, leases } = makeWorld()
    issuer.answer = (_request, at) => ({ ...issuer.give(at), expiresAt: 8.64e15 })
    tasks.set('t_1', taskOf('t_1', { expiresAt: START + HOUR }))
    t.equal(await ask('t_1'), 'minted-value-1', 'one absurdly far is used with its task')
    t.equal(leases.standing('api')?.endsAt, START + HOUR)
    await timing.advance(30 * MINUTE)
    t.equal(issuer.requests.length, 1)
  },
)

void t.test('what holds nothing is not used', async (t) => {
  const { ask, issuer } = makeWorld()
  issuer.answer = (_request, at) => ({ ...issuer.give(at), material: { value: '' } })
  t.match(await ask('t_1'), /what it gave is empty/)
})

void t.test('a mistake of ours is a failure as any other, and is told', async (t) => {
  const { ask, issuer, told } = makeWorld()
  issuer.answer = () => {
    throw new TypeError('a canary in its message')
  }
  t.match(await ask('t_1'), /^credential-unavailable: the sidecar made an error/)
  t.equal(told.unexpected.length, 1)
})

void t.test('R13: with its task a lease is out of use, told, and forgotten', async (t) => {
  const { ask, timing, leases, known, tasks } = makeWorld()
  await ask('t_1')
  await ask('t_2')
  tasks.delete('t_1')
  t.strictSame(await leases.drop('t_1'), [
    {
      credential: 'api',
      taskId: 't_1',
      expiresAt: START + HOUR,
      handle: { number: 1 },
      id: 'id-1',
    },
  ])
  t.strictSame(await leases.drop('t_1'), [])
  t.match(await ask('t_1'), /the task is not active/)
  t.equal(known.maskValues('minted-value-1'), '[secret:credential]', 'the last records are masked')
  await timing.advance(10_000)
  t.equal(known.maskValues('minted-value-1'), 'minted-value-1', 'nothing knows it any more')
  t.equal(known.maskValues('minted-value-2'), '[secret:credential]')
  tasks.delete('t_2')
  await leases.drop('t_2')
  await timing.advance(10_000)
  t.equal(timing.timers, 0)
  t.strictSame(leases.standing('api'), { state: 'idle', leases: 0 })
})

void t.test('what was replaced a moment ago is dropped with its task as well', async (t) => {
  const { ask, timing, leases, told } = makeWorld()
  await ask('t_1')
  await timing.advance(45 * MINUTE)
  t.strictSame(
    (await leases.drop('t_1')).map(({ id }) => id),
    ['id-1', 'id-2'],
  )
  await timing.advance(HOUR)
  t.equal(told.replaced.length, 0, 'once')
})

void t.test(
  'a mint under way as its task ends is dropped with it, or told once it comes',
  async (t) => {
    const hangs = async (
      afterMs: number,
    ): Promise<World & { dropped: readonly (string | undefined)[]; answer: string }> => {
      const world = makeWorld({ providerTimeoutMs: 10_000 })
      const { ask, issuer, leases, tasks, timing } = world
      let give: () => void = () => undefined
      issuer.answer = (_request, at) =>
        new Promise<Minted>((resolve) => {
          give = () => resolve(issuer.give(at))
        })
      const asked = ask('t_1')
      await settle()
      tasks.delete('t_1')
      const dropped = leases.drop('t_1')
      await timing.advance(afterMs)
      give()
      await timing.advance(3000)
      const views = await dropped
      return { ...world, dropped: views.map(({ id }) => id), answer: await asked }
    }
    const soon = await hangs(1000)
    t.strictSame(soon.dropped, ['id-1'])
    t.match(soon.answer, /the task has ended/)
    t.equal(soon.told.leased.length, 0)
    const late = await hangs(2500)
    t.strictSame(late.dropped, [], 'the end is not held up')
    t.equal(late.issuer.requests[0]?.signal.aborted, false, 'what is asked for is heard to its end')
    t.match(late.answer, /the task has ended/)
    t.strictSame(
      late.told.orphans.map(({ id }) => id),
      ['id-1'],
    )
    for (const { told, timing, known } of [soon, late]) {
      await timing.advance(10_000)
      t.equal(known.maskValues('minted-value-1'), 'minted-value-1')
      t.strictSame(told.failed, [])
    }
  },
)

void t.test(
  'one credential is asked for by so many at once, and another does not wait for them',
  async (t) => {
    const { ask, issuer, leases, tasks } = makeWorld({ mintsAtOnceMax: 2 })
    const waiting: (() => void)[] = []
    issuer.answer = (_request, at) =>
      new Promise<Minted>((resolve) => waiting.push(() => resolve(issuer.give(at))))
    const asked = ['t_1', 't_2', 't_3'].map((id) => ask(id))
    await settle()
    t.equal(issuer.requests.length, 2)
    t.equal(await ask('t_1', 'other'), 'minted-value-1')
    waiting[0]?.()
    await settle()
    t.equal(issuer.requests.length, 3)
    tasks.delete('t_3')
    const dropped = leases.drop('t_3')
    for (const give of waiting) give()
    t.strictSame(
      (await dropped).map(({ id }) => id),
      ['id-3'],
    )
    await Promise.all(asked)
  },
)

void t.test(
  'R13: what is the same for all tasks is held once, and while one of them has it',
  async (t) => {
    const { ask, timing, issuer, leases, known } = makeWorld({ staticRefreshMs: 5 * MINUTE })
    issuer.isStatic = true
    issuer.lifeMs = undefined
    t.equal(leases.sharedSecret('api'), undefined)
    t.equal(await ask('t_1'), 'minted-value-1')
    t.equal(await ask('t_2'), 'minted-value-1')
    t.equal(reveal(leases.sharedSecret('api')!, 'test'), 'minted-value-1')
    await timing.advance(6 * MINUTE)
    t.equal(issuer.requests.length, 2, 'it is looked for anew')
    t.equal(await ask('t_1'), 'minted-value-2', 'and what was put in its place is used')
    t.strictSame((await leases.drop('t_1')).length, 0)
    t.equal(await ask('t_2'), 'minted-value-2')
    await leases.drop('t_2')
    await timing.advance(10_000)
    t.equal(known.maskValues('minted-value-2'), 'minted-value-2')
    t.equal(leases.standing('api')?.state, 'idle')
    t.equal(timing.timers, 0)
  },
)

void t.test(
  'a static one whose provider is away is used on for a while, not for ever',
  async (t) => {
    const { ask, timing, issuer } = makeWorld({ staticRefreshMs: 5 * MINUTE })
    issuer.isStatic = true
    issuer.lifeMs = undefined
    await ask('t_1')
    issuer.answer = () => {
      throw new ProviderError('it is away')
    }
    await timing.advance(59 * MINUTE)
    t.equal(await ask('t_1'), 'minted-value-1')
    await timing.advance(2 * MINUTE)
    t.match(await ask('t_1'), /^credential-unavailable: it is away/)
  },
)

void t.test(
  'an upstream that refuses a lease has it replaced, no oftener than may be',
  async (t) => {
    const { ask, timing, issuer, leases, told } = makeWorld()
    const task = taskOf('t_1')
    await ask('t_1')
    const refused: Secret = await leases.secretFor(task, 'api')
    const [one, other] = await Promise.all([
      leases.inPlaceOf(task, refused),
      leases.inPlaceOf(task, refused),
    ])
    t.equal(issuer.requests.length, 2)
    t.equal([one, other].filter((secret) => secret !== undefined).length > 0, true)
    const fresh = await leases.secretFor(task, 'api')
    t.equal(reveal(fresh, 'test'), 'minted-value-2')
    t.equal(await leases.inPlaceOf(task, refused), fresh, 'a late one gets what is there')
    t.strictSame(told.refreshed, [{ by: 'mint', cause: 'refused', isSame: false }])
    let secret = fresh
    for (let minutes = 0; minutes < 30; minutes += 1) {
      for (let times = 0; times < 20; times += 1)
        secret = (await leases.inPlaceOf(task, secret)) ?? secret
      await timing.advance(MINUTE)
    }
    t.ok(issuer.requests.length < 8, `${issuer.requests.length} in half an hour`)
    t.equal(
      await leases.inPlaceOf(taskOf('t_3'), secret),
      undefined,
      'a task without one gets none',
    )
  },
)

void t.test('R20: refused leases of many tasks are replaced one after the other', async (t) => {
  const { timing, issuer, leases, tasks } = makeWorld()
  const many = Array.from({ length: 50 }, (_, at) => taskOf(`t_many${at}`))
  for (const task of many) tasks.set(task.id, task)
  const secrets = await Promise.all(many.map((task) => leases.secretFor(task, 'api')))
  t.equal(issuer.requests.length, 50)
  await Promise.all(many.map((task, at) => leases.inPlaceOf(task, secrets[at]!)))
  t.equal(issuer.requests.length, 51)
  await timing.advance(1000)
  await Promise.all(many.map((task, at) => leases.inPlaceOf(task, secrets[at]!)))
  t.equal(issuer.requests.length, 52)
})

void t.test('what cannot be put down before it is used is not used', async (t) => {
  const { ask, told } = makeWorld()
  told.onMinted = () => {
    throw new ProviderError('it cannot be written down')
  }
  t.match(await ask('t_1'), /^credential-unavailable: it cannot be written down/)
  t.strictSame(
    told.replaced.map(({ id }) => id),
    ['id-1'],
  )
})

void t.test('the clock of tests goes timer by timer', async (t) => {
  const timing = new FakeTiming()
  const seen: number[] = []
  timing.after(20, () => seen.push(timing.now()))
  timing.after(10, () => seen.push(timing.now()))
  timing.after(15, () => seen.push(0))()
  await timing.advance(30)
  t.strictSame(seen, [START + 10, START + 20])
})
