// The commands of docs/proof.md by which a checkpoint is checked without the program, as they stand there, on what a sink got
// that asks for little.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { api, makeTask, revoke } from '../fixtures/tasks.ts'

const documentation = readFileSync('docs/proof.md', 'utf8')
const [HASH = '', SIGNATURE = ''] = [
  ...documentation
    .slice(documentation.indexOf('\n## Without sallyport\n'))
    .matchAll(/```sh\n([^]*?)```/g),
].map(([, block = '']) => block)

const missing = ['jq', 'openssl', 'sha256sum', 'bash'].filter(
  (program) => spawnSync(program, ['--version'], { timeout: 10_000 }).error !== undefined,
)

function runShell(cx: Scenario, script: string): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: cx.directory,
    encoding: 'utf8',
    timeout: 30_000,
  })
  return { status, said: stdout + stderr }
}

const rules = ruleSet("id: other, allow: 'http://other.test:81'")

void t.test(
  'without sallyport',
  { skip: missing.length > 0 && `not installed here: ${missing.join(', ')}` },
  (t) => {
    scenario(
      t,
      'R56: a checkpoint and a seal are checked with jq, coreutils and openssl alone, as it is documented',
      {
        hosts: ['other.test'],
        rules,
        expires: null,
        config: 'sinks: [{ file: { path: soc.ndjson, filter: { verdict: deny } } }]',
      },
      async (cx, t) => {
        const task = await makeTask(cx)
        await revoke(cx, task.id)
        await until(
          () => cx.records().some(({ event }) => event.action === 'task-sealed'),
          'the task is sealed',
        )
        const { body: made } = await api(cx, 'POST', '/v1/checkpoints')
        const { body: keys } = await api(cx, 'GET', '/v1/checkpoints')
        cx.file('keys.json', JSON.stringify(keys))
        const [segment = ''] = readdirSync(path.join(cx.directory, 'journal')).filter((name) =>
          name.endsWith('.ndjson'),
        )
        const named = HASH.replace('1842p', `${made.seq}p`).replace('0000000001.ndjson', segment)
        t.match(runShell(cx, named), { status: 0, said: made.hash }, 'the hash')

        const file = path.join(cx.directory, 'soc.ndjson')
        const received = (): string[] =>
          (existsSync(file) ? readFileSync(file, 'utf8') : '')
            .split('\n')
            .filter((line) => line.includes('"checkpoint":{'))
        await until(
          () => received().some((line) => line.includes(made.signature)),
          'the sink has the checkpoint',
        )
        const signed = received()
        t.ok(
          signed.some((line) => line.includes('"final":true')),
          'a seal is among what a filtered sink got',
        )
        for (const line of signed) {
          cx.file('line.json', `${line}\n`)
          t.match(runShell(cx, SIGNATURE), { status: 0, said: /Verified Successfully/ })
          const at = JSON.parse(line).sallyport.checkpoint.seq
          cx.file('line.json', `${line.replace(`"seq":${at},"hash"`, `"seq":${at + 1},"hash"`)}\n`)
          t.not(runShell(cx, SIGNATURE).status, 0, 'one that says another record is not')
        }
      },
    )
    t.end()
  },
)
