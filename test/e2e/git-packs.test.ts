// Git from outside: the real client against git's own server through the real program. A pack is bounded where a rule says so,
// and flows where none does.

import { randomBytes } from 'node:crypto'

import t from 'tap'

import { proveGit } from '../fixtures/git-client.ts'

const PACK_BYTES = 1_000_000
const GRANT = `git: { repos: [acme/widgets], push: ['refs/heads/agent/*'], force: false, maxPackBytes: ${PACK_BYTES} }`

await proveGit(t, ({ upstream, git, succeed, clone, commit, push, refusedPush }) => {
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
})
