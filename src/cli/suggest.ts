// `sallyport suggest`: the smallest rules that would allow what was observed, or denied for want of a rule, as a rule file to look
// at, with what is not suggested and why. Reads the journal's files alone. Called by `program.ts`.

import type { Command } from 'commander'

import { CallStream } from '../record/again/stream.ts'
import type { RecordBody } from '../record/body.ts'
import { tailRecords } from '../record/read/tail.ts'
import { WantedCollection, type WantedKind } from '../record/suggest/collect.ts'
import { suggestRules } from '../record/suggest/rules.ts'
import { writeRuleSet } from '../record/suggest/text.ts'
import { existing, type CommonOptions } from './common.ts'
import { EXIT_CODES, printJson, UsageError, type CommandIo } from './io.ts'
import { readPeriod } from './period.ts'

interface SuggestFlags extends CommonOptions {
  readonly task?: string
  readonly since?: string
  readonly observed?: boolean
  readonly denied?: boolean
  readonly name: string
}

const NAME = /^[A-Za-z0-9][\w.-]{0,127}$/

/** Adds the verb. */
export function registerSuggest(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
): void {
  program
    .command('suggest')
    .description('the smallest rules for what was observed or denied; exit 1 where there is none')
    .argument('<JOURNAL>', 'the directory of a journal')
    .option('--task <id>', 'only for this task and its children')
    .option('--since <time>', 'only from this time on: 15m, 2h, or 2027-01-31T12:00:00Z')
    .option('--observed', 'only for what passed and would have been denied')
    .option('--denied', 'only for what was denied')
    .option('--name <name>', 'of the rule set', 'suggested')
    .action(async (journal: string, _options: unknown, command: Command) => {
      exit(await suggest(journal, command.optsWithGlobals<SuggestFlags>(), io))
    })
}

async function suggest(journal: string, options: SuggestFlags, io: CommandIo): Promise<number> {
  const { name, json } = options
  existing([journal])
  if (!NAME.test(name)) throw new UsageError(`\`--name ${name}\` is no name of a rule set`)
  const collection = new WantedCollection(kindOf(options))
  await collect(journal, options, collection, io)
  const { rules, leftOut } = suggestRules(collection.wanted)
  for (const { why, count } of leftOut) collection.leaveOut(why, count)
  const { notSuggested } = collection
  const text = writeRuleSet({ name, rules, notSuggested })
  if (json === true) printJson(io, { ruleset: name, rules, notSuggested, text })
  else io.out(text)
  return rules.length > 0 ? EXIT_CODES.ok : EXIT_CODES.no
}

function kindOf({ observed, denied }: SuggestFlags): WantedKind {
  if (observed === denied) return 'both'
  return observed === true ? 'observed' : 'denied'
}

async function collect(
  journal: string,
  options: SuggestFlags,
  collection: WantedCollection,
  io: CommandIo,
): Promise<void> {
  const { task } = options
  const { since = -Infinity } = readPeriod({ since: options.since })
  const isWanted = (record: RecordBody): boolean =>
    (task === undefined || record.sallyport.task?.path.includes(task) === true) &&
    Date.parse(record['@timestamp']) >= since
  const stream = new CallStream()
  const filter = { all: true, ...(since > 0 && { since }) }
  const onBadLine = (): void =>
    io.err('a line of the journal is no record: see `sallyport verify`\n')
  const records = tailRecords(journal, { filter, follow: false, signal: io.signal, onBadLine })
  for await (const { record } of records) {
    const count = record.sallyport.detail?.['count']
    if (record.event.action.endsWith('-denied-repeated') && typeof count === 'number') {
      if (isWanted(record)) collection.leaveOut('refusals that were only counted', count)
    } else for (const found of stream.add(record)) if (isWanted(found.record)) collection.add(found)
  }
  for (const found of stream.finish()) if (isWanted(found.record)) collection.add(found)
}
