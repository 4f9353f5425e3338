// Verbs that this version does not serve: each says so, and none is mistaken for done. Called by `ca.ts`.

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
