// R49: whatever our reader of HTTP/1.1 accepts, llhttp and h11 accept with the same meaning, and what is passed on means the
// same to them. Seeded and bounded; `npm run fuzz` goes on for longer.

import { readFileSync } from 'node:fs'

import t from 'tap'

import { compare, makeProbes, type Difference } from './compare.ts'
import { EXPLANATIONS } from './explained.ts'
import { generateCuts, generateRequests, generateResponse, Random } from './generate.ts'
import { startH11 } from './h11.ts'
import { startLlhttp } from './llhttp.ts'
import type { Heard, Oracle } from './oracle.ts'
import { readRequests, readResponse, type Message } from './own-reader.ts'
import { runFuzz } from './run.ts'

const SEED = 20_260_101
const CASES_MIN = 3000
const CASES_MAX = 12_000
const RUN_MS = 8000

const llhttp = startLlhttp()
const h11 = startH11()
t.teardown(() => {
  llhttp.close()
  h11?.close()
})

function holdAgainst(oracle: Oracle): void {
  void t.test(`R49: what ours accepts, ${oracle.name} reads alike`, async (t) => {
    const untilMs = performance.now() + RUN_MS
    const { cases, accepted, messages, rewritten, compared, explained, failures } = await runFuzz({
      seed: SEED,
      oracles: [oracle],
      // On a slow machine fewer, but never none.
      goesOn: ({ cases: so }) => so < CASES_MIN || (so < CASES_MAX && performance.now() < untilMs),
    })
    t.strictSame(failures, [])
    t.comment(`${cases} cases, ${accepted} accepted, ${compared.get(oracle.name)} answers compared`)
    t.ok(cases >= CASES_MIN, `${cases} cases`)
    t.ok(accepted > cases / 4, `${accepted} accepted`)
    t.ok(cases - accepted > cases / 10, `${cases - accepted} refused`)
    t.ok(messages > cases / 4, `${messages} whole messages`)
    t.ok(rewritten > cases / 5, `${rewritten} written anew`)
    t.ok(compared.get(oracle.name)! > cases / 2, `${compared.get(oracle.name)} compared`)
    for (const { name } of EXPLANATIONS)
      if (name.startsWith(oracle.name)) t.ok(explained.has(name), `still needed: ${name}`)
    const differences = [...explained.values()].reduce((sum, count) => sum + count, 0)
    t.ok(differences < compared.get(oracle.name)! / 5, `${differences} explained differences`)
  })
}

holdAgainst(llhttp)
if (h11) holdAgainst(h11)
else
  void t.test(
    'R49: what ours accepts, h11 reads alike',
    { skip: 'python3-h11 is not installed' },
    (t) => t.end(),
  )

const toHeard = ({ start, headers, body, trailers, isWhole }: Message): Heard => ({
  start,
  headers,
  body: body.toString('latin1'),
  trailers,
  isWhole,
  left: -1,
})

void t.test('every kind of difference is seen, and none where there is none', (t) => {
  const bytes = Buffer.from(
    'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n',
  )
  const [whole, cutShort] = makeProbes(bytes, [], readRequests([bytes]), undefined)
  const messages = whole!.expected.map(toHeard)
  const [first, sentinel] = messages
  const kindOf = (...heard: Heard[]): Difference['kind'] | undefined =>
    compare(whole!, { messages: heard }, 'llhttp')?.kind
  t.equal(kindOf(first!, sentinel!), undefined)
  t.equal(kindOf({ ...first!, start: ['POST', '/q', '1.1'] }, sentinel!), 'start')
  t.equal(kindOf({ ...first!, headers: first!.headers.slice(2) }, sentinel!), 'headers')
  t.equal(kindOf({ ...first!, body: 'abcd' }, sentinel!), 'body')
  t.equal(kindOf({ ...first!, trailers: [] }, sentinel!), 'trailers')
  t.equal(kindOf({ ...first!, isWhole: false }), 'late')
  t.equal(kindOf({ ...first!, left: 0 }, sentinel!), 'late')
  t.equal(kindOf({ ...first!, left: 1000 }, sentinel!), 'early')
  t.equal(kindOf(first!), 'late')
  t.equal(kindOf(first!, sentinel!, sentinel!), 'more')
  t.equal(compare(whole!, { messages: [], refused: 'no' }, 'h11')?.kind, 'refused')
  t.equal(cutShort?.kind, 'cut-short')
  t.equal(compare(cutShort!, { messages: [first!] }, 'h11')?.kind, 'early')
  t.equal(compare(cutShort!, { messages: [{ ...first!, isWhole: false }] }, 'h11'), undefined)
  const half = bytes.subarray(0, -5)
  const [partial] = makeProbes(half, [], readRequests([half]), undefined)
  t.equal(partial?.kind, 'partial')
  t.equal(compare(partial!, { messages: [first!] }, 'h11')?.kind, 'early')
  t.end()
})

void t.test('every explained difference is documented', (t) => {
  const documentation = readFileSync('docs/framing.md', 'utf8')
  for (const { name, why, isPassedOn } of EXPLANATIONS)
    t.match(
      documentation.replaceAll(/ +/g, ' '),
      `| ${name} | ${why} | ${isPassedOn ? 'yes' : 'no'} |`,
      name,
    )
  t.end()
})

void t.test('a seed makes the same inputs, another one others', (t) => {
  const make = (seed: number): unknown[] => {
    const random = new Random(seed)
    return Array.from({ length: 50 }, () => [
      generateRequests(random),
      generateResponse(random),
      generateCuts(random, 100),
    ])
  }
  t.strictSame(make(1), make(1))
  t.strictNotSame(make(1), make(2))
  t.end()
})

void t.test('a response to HEAD ends with its head', (t) => {
  const bytes = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
  t.equal(readResponse([bytes], 'HEAD').messages[0]?.end, bytes.length)
  t.notOk(readResponse([bytes], 'GET').messages[0]?.isWhole)
  t.end()
})
