// The control mapping of one bundle: for every control how far it is met, and which of its records show it. Pure. Called by
// `derive.ts`.

import type { RecordBody } from '../body.ts'
import { CONTROLS, FRAMEWORKS, type ControlLevel, type Framework } from './control-map.ts'
import { KINDS, kindsOf, type Kind } from './kinds.ts'

/** How many records are of a kind, and which the first of them are. */
interface KindCount {
  readonly records: number
  /** `event.id` of the first ones. */
  readonly first: readonly string[]
}

/** A control as it is shown. */
export interface ShownControl {
  readonly framework: string
  readonly ids: readonly string[]
  readonly level: ControlLevel
  readonly feature: string
  readonly evidence: Readonly<Partial<Record<Kind, KindCount>>>
  /** Whether any record of this bundle shows it; where none does, it was not put to the test. */
  readonly isShown: boolean
}

/** What the levels mean: said with every table. */
export const LEVELS: Readonly<Record<string, string>> = {
  E: 'enforced: what can be seen on the network is decided before it leaves',
  P: 'partly: a part of the control is outside of what a proxy sees',
  R: 'recorded only',
  '-': 'out of reach for a proxy',
}

const FIRST_MAX = 3

/** Counts records by what they are evidence of. */
export class ControlCounter {
  readonly #counts: Map<Kind, { records: number; first: string[] }> = new Map()

  /** Counts one record. */
  add(record: RecordBody): void {
    for (const kind of kindsOf(record)) {
      const count = this.#counts.get(kind) ?? { records: 0, first: [] }
      count.records += 1
      if (count.first.length < FIRST_MAX) count.first.push(record.event.id)
      this.#counts.set(kind, count)
    }
  }

  /** The table. @param frameworks empty: all */
  controls(frameworks: readonly Framework[]): ShownControl[] {
    return CONTROLS.filter(
      ({ framework }) => frameworks.length === 0 || frameworks.includes(framework),
    ).map(({ framework, ids, level, feature, kinds }) => {
      const shown = kinds.map((kind) => [kind, this.#counts.get(kind) ?? NONE] as const)
      return {
        framework: FRAMEWORKS[framework],
        ids,
        level,
        feature,
        evidence: Object.fromEntries(shown),
        isShown: shown.some(([, { records }]) => records > 0),
      }
    })
  }
}

const NONE: KindCount = { records: 0, first: [] }

/** The table for people, in Markdown. */
export function controlsText(controls: readonly ShownControl[]): string {
  const lines = [
    '# Controls',
    '',
    'What this bundle shows of each control, with levels for what can be seen on the network alone:',
    '',
    ...Object.entries(LEVELS).map(([level, meaning]) => `- **${level}** ${meaning}`),
    '',
    'A control without records was not put to the test by this task; that says nothing against it, and nothing for it.',
  ]
  let framework = ''
  for (const control of controls) {
    if (control.framework !== framework) {
      framework = control.framework
      lines.push(
        '',
        `## ${framework}`,
        '',
        '| control | level | how | records |',
        '| --- | --- | --- | --- |',
      )
    }
    const evidence = Object.entries(control.evidence)
      .filter(([, count]) => count.records > 0)
      .map(
        ([kind, { records, first }]) =>
          `${kind} ${String(records)} (${first.join(' ')}${records > first.length ? ' …' : ''})`,
      )
    lines.push(
      `| ${control.ids.join('<br>')} | ${control.level} | ${control.feature} | ${evidence.join('<br>') || 'none'} |`,
    )
  }
  lines.push('', '## Kinds of records', '')
  for (const [kind, meaning] of Object.entries(KINDS)) lines.push(`- **${kind}**: ${meaning}`)
  return `${lines.join('\n')}\n`
}
