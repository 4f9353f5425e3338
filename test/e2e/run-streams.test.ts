// What passes through `sallyport run` unchanged: exit codes, input and output.

import t from 'tap'

import { runInside, runScenario } from '../fixtures/run.ts'

runScenario(
  t,
  'exit codes pass through: its own, of a signal, of what cannot be run and of what is not there',
  {},
  async (cx, t, who) => {
    cx.file('plain', 'not a program')
    const code = async (...words: string[]): Promise<number | null> =>
      (await runInside(cx, words, { who })).status
    t.equal(await code('true'), 0)
    t.equal(await code('sh', '-c', 'exit 7'), 7)
    t.equal(await code('sh', '-c', 'kill -TERM $$'), 143)
    t.equal(await code('sh', '-c', 'kill -KILL $$'), 137)
    t.equal(await code('sh', '-c', 'kill -INT $$'), 130)
    t.equal(await code('./plain'), 126)
    t.equal(await code('./nowhere'), 127)
  },
)

runScenario(
  t,
  'input and output pass untouched: binary, large, slowly read, closed',
  {},
  async (cx, t, who) => {
    const bytes = Buffer.alloc(4 * 1024 * 1024, Buffer.from([0, 255, 10, 13, 128, 27]))
    const through = await runInside(cx, ['cat'], { who, input: bytes })
    t.ok(through.bytes.equals(bytes), 'every byte came through')
    const slow = await runInside(cx, ['sh', '-c', 'yes | head -c 3000000; echo done >&2'], { who })
    t.equal(slow.bytes.length, 3_000_000)
    t.match(slow.stderr, /done\n$/)
    const none = await runInside(cx, ['cat'], { who, input: 'closed' })
    t.equal(none.status, 0)
  },
)
