// Git from outside: the real client against git's own server through the real program. Repositories and branches are told
// apart where hosts and paths cannot.

import { writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { proveGit } from '../fixtures/git-client.ts'

const PACK_BYTES = 1_000_000
const GRANT = `git: { repos: [acme/widgets], push: ['refs/heads/agent/*'], force: false, maxPackBytes: ${PACK_BYTES} }`

await proveGit(t, ({ upstream, host, widgets, git, succeed, clone, commit, push }) => {
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
})
