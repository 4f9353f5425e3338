// `npm run fuzz:json [seconds] [seed]`: the strict reader of JSON against JSON.parse and Python's for as long as one likes.

import { compareReaders, makeMutants } from '../unit/inspect/json-mutants.ts'

const BATCH = 20_000

const [seconds = '60', seedText] = process.argv.slice(2)
let seed = seedText === undefined ? Date.now() % 2 ** 31 : Number(seedText)
const untilMs = performance.now() + Number(seconds) * 1000
process.stdout.write(`seed ${seed}\n`)
let [texts, accepted, differing] = [0, 0, 0]
const failures: string[] = []
while (performance.now() < untilMs && failures.length === 0) {
  const comparison = compareReaders(makeMutants(seed, BATCH))
  if (comparison.readers === 1) process.stdout.write('python3 is not installed: JSON.parse only\n')
  seed += 1
  texts += BATCH
  accepted += comparison.accepted
  differing += comparison.differing
  failures.push(...comparison.failures)
}
process.stdout.write(`${texts} texts, ${accepted} accepted, ${differing} read differently\n`)
for (const failure of failures) process.stdout.write(`READ DIFFERENTLY: ${failure}\n`)
process.exitCode = failures.length === 0 ? 0 : 1
