// The verbs that the contract names and this version does not serve: each says so, and none is mistaken for done.
// Called by `program.ts`.

import type { Command } from 'commander'

import { UsageError } from './io.ts'

const VERBS = ['run'] as const

/** Adds the verbs that are not served yet, hidden from the help. */
export function registerNotServed(program: Command): void {
  for (const verb of VERBS) addNotServed(program, verb, verb)
}

/** Adds one verb that refuses by name. */
export function addNotServed(parent: Command, name: string, shown: string): void {
  parent
    .command(name, { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(() => {
      throw new UsageError(`\`sallyport ${shown}\` is not served by this version.`)
    })
}
