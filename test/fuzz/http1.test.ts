// Differential fuzzing, bounded: whatever our HTTP/1 readers accept, llhttp and h11 accept with the same meaning, and every
// cut of the bytes is read the same. `npm run fuzz` goes on for as long as one likes.

import t from 'tap'

import { EXPLANATIONS, fuzz } from '../fixtures/http1-fuzz.ts'
import { H11 } from '../fixtures/http1-oracles.ts'

const SEED = 20_261_125
const CASES = 60_000
const MS_MAX = 60_000

void t.test(
  'R49: what we accept, others accept with the same meaning',
  { timeout: 110_000 },
  async (t) => {
    const hasH11 = H11.open()
    hasH11?.close()
    if (!hasH11) t.comment('h11 is not installed (python3-h11): compared with llhttp alone')
    const report = await fuzz(SEED, { cases: CASES, ms: MS_MAX })
    const { cases, accepted, compared, explained, findings } = report
    t.comment(
      `${cases} inputs, ${accepted} accepted, llhttp ${compared.llhttp}, h11 ${compared.h11}`,
    )
    for (const [why, count] of explained) t.comment(`explained ${count}: ${why}`)
    t.strictSame(findings.slice(0, 5), [], 'no disagreement that the table does not explain')
    t.ok(cases >= 5000, 'inputs were read')
    t.ok(accepted > cases / 20, 'some of them are sound')
    t.ok(compared.llhttp > cases / 20, 'llhttp was asked')
    if (hasH11) t.equal(compared.h11, compared.llhttp, 'h11 was asked')
    const known = EXPLANATIONS.map(({ why }) => why)
    t.ok([...explained.keys()].every((why) => known.includes(why)))
  },
)
