// The grammar of an entry of `tests`: a call, everything that a rule can look at beside it, and what is expected. The JSON Schema
// for editors is made from it. Called by `parse.ts` and `grammar.ts`.

import { z } from 'zod'

import { DATA_CLASSES, type DataClass } from '../tasks/task.ts'
import type { TaskFacts } from './facts.ts'
import { TESTED_SHAPE, type TestedSection } from './inside-grammar.ts'
import type { Expectation } from './rule-set.ts'
import { environmentLabel, instant, oneOf, readBy, text } from './scalars.ts'
import { CALL_PATTERN, readExpectation } from './written-call.ts'

/** An entry of `tests`, read. */
export interface TestSection extends TestedSection {
  readonly call: string
  readonly params?: Readonly<Record<string, string>> | undefined
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined
  readonly task?: TaskFacts | undefined
  readonly at?: number | undefined
  readonly after?: { readonly data: DataClass } | undefined
  readonly expect: Expectation
}

const mapping = 'expected a mapping'
const DEPTH = 'expected a whole number, 0 where no task is above it'
const label = text('a text').optional()
const ownerShape = { name: label, team: label }
const agentShape = { account: label, instance: label }
const taskShape = {
  intent: label,
  labels: z
    .record(z.string(), z.string({ error: 'expected a text: put it in quotes' }), {
      error: `${mapping} of names to texts`,
    })
    .optional(),
  capabilities: z.array(z.string(), { error: 'expected a list of texts' }).optional(),
  owner: z
    .strictObject(ownerShape, { error: `${mapping} such as { name: ann, team: payments }` })
    .optional(),
  agent: z
    .strictObject(agentShape, { error: `${mapping} such as { account: bot, instance: bot/1 }` })
    .optional(),
  environment: environmentLabel.optional(),
  ceiling: oneOf(DATA_CLASSES).optional(),
  depth: z.int({ error: DEPTH }).min(0, { error: DEPTH }).optional(),
}
const afterShape = { data: oneOf(DATA_CLASSES).describe('Highest class that the task has read.') }

const testShape = {
  call: text('METHOD URL')
    .refine((written) => CALL_PATTERN.test(written), {
      error: 'expected METHOD URL, such as GET https://example.com/a, or CONNECT HOST:PORT',
    })
    .describe('METHOD URL, or CONNECT HOST:PORT; wss:// asks for an upgrade.'),
  params: z
    .record(z.string(), z.string({ error: 'expected a text: put it in quotes' }), {
      error: mapping,
    })
    .optional(),
  headers: z
    .record(
      z.string(),
      z.union([z.string(), z.array(z.string())], { error: 'expected a text or a list of texts' }),
      { error: mapping },
    )
    .optional(),
  task: z
    .strictObject(taskShape, { error: `${mapping} such as { environment: prod }` })
    .optional()
    .describe('The task that asks. What is absent is not known.'),
  at: instant.optional().describe('When it asks. Absent: now.'),
  after: z
    .strictObject(afterShape, { error: `${mapping} such as { data: restricted }` })
    .optional()
    .describe('What the task did before.'),
  ...TESTED_SHAPE,
  expect: readBy(
    text('`allow RULE-ID`, `hold RULE-ID` or `deny REASON`'),
    readExpectation,
  ).describe('allow RULE-ID, hold RULE-ID, or deny REASON.'),
}

/** An entry of `tests`. */
export const TEST_SCHEMA: z.ZodType<TestSection> = z.strictObject(testShape, { error: mapping })

/** The keys of its mappings. */
export const TEST_KEYS: Readonly<
  Record<'test' | 'task' | 'after' | 'owner' | 'agent', readonly string[]>
> = {
  test: Object.keys(testShape),
  task: Object.keys(taskShape),
  after: Object.keys(afterShape),
  owner: Object.keys(ownerShape),
  agent: Object.keys(agentShape),
}
