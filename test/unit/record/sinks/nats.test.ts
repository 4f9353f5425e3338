// The NATS sink against a server of the test that answers as it likes: wrong, twice, too much, or not at all.

import type { Socket } from 'node:net'

import t, { type Test } from 'tap'

import { startNatsSink, subjectOf } from '../../../../src/record/sinks/nats.ts'
import { listen } from '../../net/support.ts'
import { journalLines, TASK, until } from '../support.ts'
import { closeAfter, makeSetting, type Setting } from './support.ts'

interface Publication {
  readonly reply: string
  readonly id: string
  readonly bytes: number
}

type Answer = (publication: Publication, socket: Socket) => void

interface Run extends Setting {
  readonly sink: ReturnType<typeof startNatsSink>
  readonly said: string[]
  readonly sockets: Socket[]
  answer: Answer
}

const acknowledge = (socket: Socket, reply: string, ack: unknown): void => {
  const text = typeof ack === 'string' ? ack : JSON.stringify(ack)
  socket.write(`MSG ${reply} 1 ${text.length}\r\n${text}\r\n`)
}
const store: Answer = ({ reply }, socket) => acknowledge(socket, reply, { stream: 's', seq: 1 })

async function start(t: Test, first: Answer, info: object = {}, asked = true): Promise<Run> {
  const said: string[] = []
  const sockets: Socket[] = []
  const state = { answer: first }
  const { port } = await listen(t, {
    onSocket: (socket) => {
      sockets.push(socket)
      socket.on('end', () => socket.end())
      socket.write(`INFO ${JSON.stringify({ headers: true, max_payload: 5000, ...info })}\r\n`)
      let rest = ''
      socket.on('data', (chunk: Buffer) => {
        rest += chunk.toString('latin1')
        for (;;) {
          const end = rest.indexOf('\r\n')
          if (end < 0) return
          const line = rest.slice(0, end)
          const [, reply = '', block, total] = /^HPUB \S+ (\S+) (\d+) (\d+)$/.exec(line) ?? []
          if (block === undefined) {
            said.push(line)
            if (line === 'PING' && asked) socket.write('PONG\r\n')
            rest = rest.slice(end + 2)
            continue
          }
          const bytes = Number(total)
          if (rest.length < end + 2 + bytes + 2) {
            if (bytes > 5000 && !socket.destroyed)
              state.answer({ reply: '', id: '', bytes }, socket)
            return
          }
          const id = /Nats-Msg-Id: (\S+)/.exec(rest.slice(end, end + 200))?.[1] ?? ''
          rest = rest.slice(end + 2 + bytes + 2)
          state.answer({ reply, id, bytes }, socket)
        }
      })
    },
  })
  const setting = makeSetting(t, port)
  const sink = startNatsSink({
    ...setting.feed,
    open: setting.open,
    tls: false,
    login: () => ({}),
    version: '1.0.0',
    subject: 'records',
  })
  closeAfter(t, sink, setting.journal)
  return Object.assign(state, { ...setting, sink, said, sockets })
}

void t.test('R54: records are taken once each is acknowledged', async (t) => {
  const ids: string[] = []
  const run = await start(t, (publication, socket) => {
    ids.push(publication.id)
    store(publication, socket)
  })
  await run.write(['/a', '/b', '/c'])
  await until(() => run.sink.stats.backlog === 0, 'they are taken')
  t.strictSame(
    ids,
    journalLines(run.feed.journal.dir).map((line) => JSON.parse(line).event.id),
  )
  t.match(JSON.parse(run.said[0]!.replace('CONNECT ', '')), { verbose: false, headers: true })
  run.sockets[0]!.write('PING\r\n')
  await until(() => run.said.includes('PONG'), 'a question between deliveries is answered')
})

const refusing: readonly [string, Answer][] = [
  ['does not answer', () => undefined],
  ['answers what is no JSON', ({ reply }, socket) => acknowledge(socket, reply, 'yes')],
  ['answers null', ({ reply }, socket) => acknowledge(socket, reply, 'null')],
  ['names no stream', ({ reply }, socket) => acknowledge(socket, reply, { seq: 1 })],
  [
    'says that nobody listens',
    ({ reply }, socket) => {
      socket.write(`HMSG ${reply} 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n`)
    },
  ],
  [
    'answers to another inbox',
    ({ reply }, socket) => {
      acknowledge(socket, `${reply.slice(0, 20)}00.1`, { stream: 's', seq: 1 })
    },
  ],
  [
    'answers for a message that was not sent',
    ({ reply }, socket) => {
      acknowledge(socket, reply.replace(/\d+$/, '99'), { stream: 's', seq: 1 })
    },
  ],
  [
    'says that it has no room',
    ({ reply }, socket) => {
      acknowledge(socket, reply, { error: { code: 503, err_code: 10_023, description: 'no room' } })
    },
  ],
  ['closes', (_publication, socket) => socket.end()],
  ['breaks off', (_publication, socket) => socket.resetAndDestroy()],
  ['says that it is going away', (_publication, socket) => socket.end("-ERR 'Slow Consumer'\r\n")],
]
for (const [what, answer] of refusing)
  void t.test(`R54: nothing is taken by a server that ${what}`, async (t) => {
    const run = await start(t, answer)
    await run.write(['/a'])
    await until(() => run.sink.stats.failures > 0, 'it has failed')
    t.match(run.sink.stats, { sent: 0, backlog: 1, refusals: 0 })
    run.answer = store
    await until(() => run.sink.stats.backlog === 0, 'it is taken once it is acknowledged')
  })

void t.test('what somebody has to change is refused, not tried on quickly', async (t) => {
  const wrong: readonly Answer[] = [
    (_publication, socket) =>
      socket.end('-ERR \'Permissions Violation for Publish to "records"\'\r\n'),
    ({ reply }, socket) => {
      acknowledge(socket, reply, { error: { code: 400, err_code: 10_060, description: 'another' } })
    },
  ]
  for (const answer of wrong) {
    const run = await start(t, answer)
    await run.write(['/a'])
    await until(() => run.sink.stats.refusals === 1, 'it is refused')
    t.match(run.sink.stats, { sent: 0, failures: 0 })
  }
  const silent = await start(t, store, { headers: false })
  await silent.write(['/a'])
  await until(() => silent.sink.stats.refusals === 1, 'headers are needed')
  const needy = await start(t, store, { tls_required: true })
  await needy.write(['/a'])
  await until(() => needy.sink.stats.refusals === 1, 'TLS is not begun by itself')
  t.strictSame(needy.said, [], 'and nothing is said')
})

void t.test('only what was not acknowledged is sent again', async (t) => {
  let isPicky = true
  const ids: string[] = []
  const run = await start(t, (publication, socket) => {
    ids.push(publication.id)
    if (isPicky && ids.length === 2)
      acknowledge(socket, publication.reply, {
        error: { code: 503, err_code: 1, description: 'x' },
      })
    else store(publication, socket)
  })
  await run.write(['/a', '/b', '/c'])
  await until(() => run.sink.stats.failures > 0, 'one is left')
  isPicky = false
  await until(() => run.sink.stats.backlog === 0, 'it is taken')
  t.equal(ids.length, 4)
  t.equal(ids[3], ids[1])
})

void t.test(
  'a server has to refuse a large record itself: what it said before is not enough',
  async (t) => {
    const large = `/${'x'.repeat(6000)}`
    const lied = await start(t, ({ reply, ...publication }, socket) => {
      if (reply !== '') store({ reply, ...publication }, socket)
    })
    await lied.write(['/a', large, '/b'])
    await until(() => lied.sink.stats.backlog === 0, 'all are taken')
    t.match(lied.sink.stats, { sent: 3, refusedRecords: 0 }, 'an INFO that lied lost nothing')

    const honest = await start(t, (publication, socket) => {
      if (publication.bytes > 5000) socket.end("-ERR 'Maximum Payload Violation'\r\n")
      else store(publication, socket)
    })
    await honest.write(['/a', large, '/b'])
    await until(() => honest.sink.stats.refusedRecords === 1, 'the large one is refused')
    await until(() => honest.sink.stats.backlog === 0, 'the others are taken')
  },
)

void t.test('no text of a stranger gets into a subject', async (t) => {
  const line = (action: string, tail: string): Buffer =>
    Buffer.from(`{"event":{"id":"X","action":"${action}"},"url":{"full":"x"}${tail}}`)
  const own = `,"sallyport":{"schema":1,"task":{"id":"${TASK.id}"}}`
  const subject = 'a.{task}.{action}'
  t.equal(subjectOf(subject, line('call-denied', own)), `a.${TASK.id}.call-denied`)
  t.equal(subjectOf(subject, line('call.> *', ',"sallyport":{"schema":1}')), 'a.none.none')
  const forged = `,"user_agent":{"original":"${String.raw`,\"sallyport\":{\"schema\":1,\"task\":{\"id\":\"t_x.>`}"}`
  t.equal(subjectOf(subject, line('call-denied', forged + own)), `a.${TASK.id}.call-denied`)
  t.equal(subjectOf('fixed', line('>', '')), 'fixed')
})

void t.test(
  'R54: a server that never acknowledges gains no time by whatever else it says',
  async (t) => {
    const run = await start(t, (_publication, socket) => {
      const timer = setInterval(() => socket.write('PING\r\n'), 20)
      socket.on('close', () => clearInterval(timer))
    })
    await run.write(['/a'])
    await until(() => run.sink.stats.failures >= 1, 'it was given up')
    run.answer = store
    await until(() => run.sink.stats.backlog === 0, 'it is taken')
  },
)

void t.test(
  'a server that asks much is answered little, and one that asks without end not at all',
  async (t) => {
    const questions = Buffer.from('PING\r\n'.repeat(10_000))
    const run = await start(t, (publication, socket) => {
      socket.write(questions)
      store(publication, socket)
    })
    const answers = (): number => run.said.filter((line) => line === 'PONG').length
    await run.write(['/a'])
    await until(() => run.sink.stats.backlog === 0 && answers() > 0, 'it is taken, and answered')
    t.ok(answers() < 1000, 'an answer is for all that was asked before it')
    run.answer = (_publication, socket) => {
      const ask = (): void => {
        while (!socket.destroyed && socket.write(questions));
      }
      socket.on('drain', ask)
      ask()
    }
    await run.write(['/b'])
    await until(() => run.sockets[0]?.destroyed === true, 'it is broken off')
    run.answer = store
    await until(() => run.sink.stats.backlog === 0, 'it is taken')
  },
)
