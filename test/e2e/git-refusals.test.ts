// Git from outside: the real client against git's own server through the real program. A push that is refused comes back in
// git's own words, so that git prints it, and changes nothing.

import t from 'tap'

import { proveGit } from '../fixtures/git-client.ts'

const PACK_BYTES = 1_000_000
const GRANT = `git: { repos: [acme/widgets], push: ['refs/heads/agent/*'], force: false, maxPackBytes: ${PACK_BYTES} }`

await proveGit(t, ({ upstream, git, succeed, clone, commit, push, refusedPush }) => {
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
})
