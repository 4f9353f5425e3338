// `npm run fuzz [seconds] [seed]`: the fuzz test for as long as one likes.

import { fuzz } from '../fixtures/http1-fuzz.ts'

const seconds = Number(process.argv[2] ?? 60)
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000)
const report = await fuzz(seed, { cases: Number.POSITIVE_INFINITY, ms: seconds * 1000 })
const { cases, accepted, compared, explained, findings } = report
process.stdout.write(
  `seed ${seed}: ${cases} inputs, ${accepted} messages accepted, compared with llhttp ${compared.llhttp}, with h11 ${compared.h11}\n`,
)
for (const [why, count] of explained) process.stdout.write(`explained ${count}: ${why}\n`)
for (const finding of findings.slice(0, 20)) process.stdout.write(`${JSON.stringify(finding)}\n`)
process.stdout.write(`${findings.length} disagreements\n`)
process.exitCode = findings.length === 0 ? 0 : 1
