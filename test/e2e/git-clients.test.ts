// Git from outside: the real client against git's own server through the real program. Repositories and branches are told apart
// where hosts and paths cannot, and a refusal comes in git's own words, so that git prints it.

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'

import { gitBackend, startGit } from '../fixtures/git-upstream.ts'
import { pki, ruleSet, scenario, type ClientRun, type Scenario } from '../fixtures/scenario.ts'

const backend = gitBackend()
const PACK_BYTES = 1_000_000
const GRANT = `git: { repos: [acme/widgets], push: ['refs/heads/agent/*'], force: false, maxPackBytes: ${PACK_BYTES} }`

if (backend === undefined)
  void t.test('git', { skip: 'git’s http-backend is not installed here' }, () => undefined)
else await proveGit(backend)

async function proveGit(program: string): Promise<void> {
  const upstream = await startGit(program, pki.issue({ names: ['git.test'] }))
  t.teardown(() => upstream.close())
  const host = `git.test:${upstream.port}`
  const widgets = `https://${host}/acme/widgets.git`

  /** A scenario whose rule has these keys, in a clone of the repository where one is asked for. */
  const git = (
    title: string,
    keys: string,
    body: (run: Run, t: Test, cx: Scenario) => Promise<void>,
  ): void => {
    const rule = `id: git, allow: 'https://${host}', ${keys === '' ? '' : `${keys}, `}addresses: [127.0.0.0/8]`
    scenario(t, title, { hosts: ['git.test'], rules: ruleSet(rule) }, (cx, t) =>
      body(runnerOf(cx), t, cx),
    )
  }
  const succeed = async (t: Test, asked: Promise<ClientRun>, title: string): Promise<ClientRun> => {
    const run = await asked
    t.equal(run.status, 0, `${title}: ${run.stderr}`)
    return run
  }
  const clone = async (run: Run, t: Test, ...words: string[]): Promise<string> => {
    await succeed(t, run('clone', '-q', ...words, widgets, 'clone'), 'clone')
    return 'clone'
  }
  /** A new commit on a new branch of the clone. */
  const commit = async (
    run: Run,
    t: Test,
    branch: string,
    content: string | Buffer = branch,
  ): Promise<void> => {
    await succeed(t, run('-C', 'clone', 'checkout', '-q', '-B', branch, 'origin/main'), 'checkout')
    writeFileSync(path.join(run.home, 'clone/change'), content)
    await succeed(t, run('-C', 'clone', 'add', '.'), 'add')
    await succeed(t, run('-C', 'clone', 'commit', '-q', '-m', branch), 'commit')
  }
  const push = (run: Run, ...words: string[]): Promise<ClientRun> =>
    run('-C', 'clone', 'push', 'origin', ...words)
  /** Asserts that a push is refused, that git prints why and that nothing changed on the server. */
  const refusedPush = async (
    t: Test,
    asked: () => Promise<ClientRun>,
    ref: string,
    reason: string,
  ): Promise<void> => {
    const before = upstream.ref(ref)
    const { status, stderr } = await asked()
    t.not(status, 0, `${ref} is not pushed`)
    t.match(stderr, new RegExp(reason), 'git prints the reason')
    t.equal(upstream.ref(ref), before, `${ref} is as it was`)
  }

  git('without a rule that looks inside, git clones, pushes and deletes', '', async (run, t) => {
    await clone(run, t)
    await commit(run, t, 'plain')
    await succeed(t, push(run, 'plain'), 'push')
    t.not(upstream.head('plain'), '')
    await succeed(t, push(run, '--delete', 'plain'), 'delete')
    t.equal(upstream.head('plain'), '')
    await succeed(t, run('clone', '-q', `https://${host}/acme/other.git`, 'other'), 'other')
  })

  git(
    'git clones whole, shallow, partial and by either protocol, fetches and lists; another repository is refused',
    GRANT,
    async (run, t, cx) => {
      await clone(run, t)
      for (const [name, ...words] of [
        ['shallow', '--depth=1'],
        ['partial', '--filter=blob:none'],
        ['treeless', '--filter=tree:0', '--no-checkout'],
        ['single', '--single-branch', '--branch=stable'],
        ['bare', '--mirror'],
      ] as const)
        await succeed(t, run('clone', '-q', ...words, widgets, name), name)
      for (const version of ['0', '1', '2'])
        await succeed(
          t,
          run('-c', `protocol.version=${version}`, 'clone', '-q', widgets, `v${version}`),
          `protocol ${version}`,
        )
      const log = await run('-C', 'shallow', 'log', '--oneline')
      t.equal(log.stdout.trim().split('\n').length, 1)
      await succeed(t, run('-C', 'shallow', 'fetch', '-q', '--unshallow'), 'unshallow')
      await succeed(t, run('-C', 'partial', 'checkout', '-q', 'v1'), 'blobs that come late')
      await succeed(t, run('-C', 'clone', 'fetch', '-q', '--all', '--tags', '--prune'), 'fetch')
      t.match(await run('ls-remote', widgets), { status: 0, stdout: /refs\/heads\/agent\/old/ })
      const before = upstream.requests.length
      for (const other of ['acme/other.git', 'acme/other', 'acme/widgets.git/../other.git']) {
        const { status, stderr } = await run('clone', '-q', `https://${host}/${other}`, 'no')
        t.not(status, 0, other)
        t.match(stderr, /403|source-not-allowed|not allowed|400/, other)
      }
      t.equal(upstream.requests.length, before, 'the server was not asked')
      await cx.record(({ event }) => event.reason === 'source-not-allowed')
      const read = await cx.record(
        ({ event, sallyport }) =>
          event.reason === 'allowed' && sallyport.content?.git?.service === 'upload-pack',
      )
      t.equal(read.sallyport.content?.git?.repo, 'acme/widgets')
    },
  )

  git(
    'git pushes new and further commits to a branch of its own, by either protocol',
    GRANT,
    async (run, t, cx) => {
      await clone(run, t)
      for (const version of ['0', '2']) {
        const branch = `agent/work-${version}`
        await commit(run, t, branch)
        const made = run(
          '-c',
          `protocol.version=${version}`,
          '-C',
          'clone',
          'push',
          'origin',
          branch,
        )
        await succeed(t, made, `create ${branch}`)
        writeFileSync(path.join(run.home, 'clone/more'), version)
        await succeed(t, run('-C', 'clone', 'add', '.'), 'add')
        await succeed(t, run('-C', 'clone', 'commit', '-q', '-m', 'more'), 'commit')
        await succeed(t, push(run, branch), `fast-forward of ${branch}`)
        const { stdout } = await run('-C', 'clone', 'rev-parse', 'HEAD')
        t.equal(upstream.head(branch), stdout.trim())
      }
      const created = await cx.record(
        ({ event, sallyport }) =>
          event.reason === 'allowed' && (sallyport.content?.git?.commands.length ?? 0) > 0,
      )
      t.match(created.sallyport.content?.git, {
        repo: 'acme/widgets',
        service: 'receive-pack',
        commands: [/agent\/work-0/],
      })
    },
  )

  git(
    'another branch, a tag, a deletion and a push by force are refused in git’s words; the branch’s own push passes',
    GRANT,
    async (run, t, cx) => {
      await clone(run, t)
      await commit(run, t, 'agent/one')
      const to = (ref: string, ...words: string[]) => push(run, ...words, `HEAD:${ref}`)
      for (const ref of [
        'refs/heads/main',
        'refs/heads/new-one',
        'refs/heads/agents/one',
        'refs/heads/AGENT/one',
        'refs/tags/agent/one',
        'refs/tags/v2',
        'refs/notes/agent/one',
      ])
        await refusedPush(t, () => to(ref), ref, 'ref-not-allowed')
      await refusedPush(
        t,
        () => push(run, '--delete', 'stable'),
        'refs/heads/stable',
        'ref-not-allowed',
      )
      await refusedPush(t, () => push(run, '--delete', 'v1'), 'refs/tags/v1', 'ref-not-allowed')
      await refusedPush(
        t,
        () => push(run, '--force', 'HEAD:refs/heads/main'),
        'refs/heads/main',
        'ref-not-allowed',
      )
      // Of two changes in one push, one that is refused refuses both.
      const both = ['HEAD:refs/heads/agent/one', 'HEAD:refs/heads/main']
      await refusedPush(t, () => push(run, ...both), 'refs/heads/agent/one', 'ref-not-allowed')
      await refusedPush(t, () => push(run, ...both), 'refs/heads/main', 'ref-not-allowed')
      await succeed(t, to('refs/heads/agent/one'), 'its own branch')
      await cx.record(({ event }) => event.reason === 'ref-not-allowed')
    },
  )

  git(
    'without `force` a branch of its own is neither deleted nor rewritten',
    GRANT,
    async (run, t) => {
      await clone(run, t)
      await commit(run, t, 'agent/kept', 'first')
      await succeed(t, push(run, 'agent/kept'), 'create')
      await commit(run, t, 'agent/kept', 'rewritten')
      const ref = 'refs/heads/agent/kept'
      await refusedPush(t, () => push(run, '--force', 'agent/kept'), ref, 'ref-not-allowed')
      await refusedPush(t, () => push(run, '--delete', 'agent/kept'), ref, 'ref-not-allowed')
    },
  )

  git(
    'with `force` a branch of its own is rewritten and deleted, and no other',
    GRANT.replace('force: false', 'force: true'),
    async (run, t) => {
      await clone(run, t)
      await commit(run, t, 'agent/free', 'first')
      await succeed(t, push(run, 'agent/free'), 'create')
      await commit(run, t, 'agent/free', 'rewritten')
      await succeed(t, push(run, '--force', 'agent/free'), 'rewrite')
      await succeed(t, push(run, '--delete', 'agent/free'), 'delete')
      t.equal(upstream.head('agent/free'), '')
      await refusedPush(
        t,
        () => push(run, '--force', 'HEAD:refs/heads/main'),
        'refs/heads/main',
        'ref-not-allowed',
      )
    },
  )

  git(
    'a pack over its bound is refused and changes nothing; one below it passes',
    GRANT,
    async (run, t) => {
      await clone(run, t)
      await commit(run, t, 'agent/big', randomBytes(3 * PACK_BYTES))
      await refusedPush(
        t,
        () => push(run, 'agent/big'),
        'refs/heads/agent/big',
        'body-too-large|413',
      )
      await commit(run, t, 'agent/small', randomBytes(PACK_BYTES / 2))
      await succeed(t, push(run, 'agent/small'), 'small')
      t.not(upstream.head('agent/small'), '')
    },
  )

  git(
    'a large pack flows through where no rule bounds it',
    "git: { repos: [acme/widgets], push: ['refs/heads/agent/*'] }",
    async (run, t) => {
      await clone(run, t)
      await commit(run, t, 'agent/large', randomBytes(20_000_000))
      await succeed(t, push(run, 'agent/large'), 'push')
      const { stdout } = await run('-C', 'clone', 'rev-parse', 'HEAD')
      t.equal(upstream.head('agent/large'), stdout.trim())
    },
  )

  git(
    'a rule that reads alone refuses every push already when git asks for the references',
    'git: { repos: [acme/widgets] }',
    async (run, t, cx) => {
      await clone(run, t)
      await commit(run, t, 'agent/none')
      const before = upstream.requests.length
      const { status, stderr } = await push(run, 'agent/none')
      t.not(status, 0)
      t.match(stderr, /ref-not-allowed|403/)
      t.equal(upstream.requests.length, before)
      await cx.record(
        ({ url, event }) =>
          url?.query === 'service=git-receive-pack' && event.reason === 'ref-not-allowed',
      )
    },
  )
}

/** Runs git in a home of its own. */
interface Run {
  (...words: string[]): Promise<ClientRun>
  readonly home: string
}

function runnerOf(cx: Scenario): Run {
  const home = path.join(cx.directory, 'home')
  const variables = cx.env()
  const run = (...words: string[]): Promise<ClientRun> =>
    cx.client('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.com', ...words], {
      variables,
    })
  return Object.assign(run, { home })
}
