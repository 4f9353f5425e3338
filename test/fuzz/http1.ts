// `npm run fuzz [seconds] [seed]`: the program's HTTP/1.1 reader against llhttp and h11 for as long as one likes.

import { startH11 } from './h11.ts'
import { startLlhttp } from './llhttp.ts'
import { runFuzz } from './run.ts'

const [seconds = '60', seedText] = process.argv.slice(2)
const seed = seedText === undefined ? Date.now() % 2 ** 32 : Number(seedText)
const untilMs = performance.now() + Number(seconds) * 1000
const h11 = startH11()
if (h11 === undefined) process.stdout.write('h11 is not installed (python3-h11): llhttp only\n')
const oracles = h11 === undefined ? [startLlhttp()] : [startLlhttp(), h11]
process.stdout.write(`seed ${seed}\n`)
const tally = await runFuzz({ seed, oracles, goesOn: () => performance.now() < untilMs })
for (const oracle of oracles) oracle.close()
const { cases, accepted, messages, rewritten, compared, explained, failures } = tally
process.stdout.write(`${cases} cases, ${accepted} accepted, ${messages} whole messages\n`)
process.stdout.write(`${rewritten} written anew and read again\n`)
for (const [name, count] of compared) process.stdout.write(`${count} answers of ${name} compared\n`)
for (const [name, count] of [...explained].sort((one, other) => other[1] - one[1]))
  process.stdout.write(`  ${count} explained: ${name}\n`)
for (const failure of failures) process.stdout.write(`NOT EXPLAINED: ${failure}\n`)
process.exitCode = failures.length === 0 ? 0 : 1
