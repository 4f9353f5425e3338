// What the contract names and this version does not serve: it says so, and is not mistaken for done. Called by the verbs it
// belongs to.

import type { Command } from 'commander'

import { UsageError } from './io.ts'

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
