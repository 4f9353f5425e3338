// The grammar of a task's definition as an orchestrator writes it: strict, every text bounded, every duration with a unit.
// Deliberately no check against rules, parents or clocks: the registry does those. Called by `control/` and `config/`.

import { z } from 'zod'

import { taskLimits } from './limits-schema.ts'
import { boundedText, cidr, duration, moment, positiveInteger } from './scalars.ts'
import { DECLARED_MAX } from './intent.ts'
import { DATA_CLASSES, type DataClass, type TaskLimits } from './task.ts'

/** A task as it is defined, after defaults. */
export interface TaskDefinition {
  readonly intent: string
  readonly capabilities?: readonly string[] | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly owner: { readonly name: string; readonly team: string }
  readonly agent: { readonly account: string; readonly instance: string }
  /** The person on whose behalf; absent: autonomous. */
  readonly principal?: string | undefined
  readonly identity: {
    readonly subject?: string | undefined
    readonly sources?: readonly string[] | undefined
    readonly listener?: 'unix' | undefined
  }
  readonly sandbox: {
    readonly id: string
    readonly image?: string | undefined
    readonly pid?: number | undefined
    readonly shared?: boolean | undefined
    readonly hooks?: { readonly end?: string | undefined } | undefined
  }
  readonly rules: readonly string[]
  readonly params: Readonly<Record<string, string>>
  readonly environment: string
  readonly ceiling: DataClass
  /** Epoch milliseconds; written as a moment with its offset. */
  readonly notBefore?: number | undefined
  readonly observe?: boolean | undefined
  readonly limits?: TaskLimits | undefined
  /** Milliseconds; written as a duration. */
  readonly expires: number
  readonly parent?: string | undefined
  readonly depth?: number | undefined
  /** Milliseconds; written as durations. */
  readonly heartbeat?: { readonly within: number; readonly endAfter: number } | undefined
  readonly require?:
    | {
        readonly image?: string | undefined
        readonly selectors?: Readonly<Record<string, string>> | undefined
      }
    | undefined
}

const ENTRIES_MAX = 64
const DEPTH_MAX = 16
// The kernel's own bound of process ids on 64-bit machines.
const PID_MAX = 2 ** 22

const label = boundedText(256)
const image: z.ZodType<string, string> = label.describe("The image's digest or name.")

/** A task's id. */
export const taskId: z.ZodType<string, string> = z
  .string({ error: 'expected the id of a task' })
  .regex(/^t_[0-9a-z]{26}$/, { error: 'expected the id of a task, t_ and 26 characters' })

/** Texts by name, as selectors and parameters are. */
function textsByName(
  charactersMax: number,
  entriesMax: number = ENTRIES_MAX,
): z.ZodType<Record<string, string>, Record<string, string>> {
  return z
    .record(
      z.string().regex(/^[A-Za-z_][\w.:/-]{0,127}$/, { error: 'expected a name' }),
      z
        .string({ error: 'expected a text: put it in quotes' })
        .max(charactersMax, { error: `expected at most ${charactersMax} characters` }),
    )
    .refine((texts) => Object.keys(texts).length <= entriesMax, {
      error: `expected at most ${entriesMax} entries`,
    })
}

const capability = z
  .string({ error: 'expected a text: put it in quotes' })
  .regex(/^[\x21-\x7e]{1,128}$/, {
    error: 'expected 1 to 128 printable ASCII characters without spaces',
  })

/** Capabilities of a task as they are written. */
export const capabilitiesSchema: z.ZodType<string[], string[]> = z
  .array(capability, { error: 'expected a list of texts' })
  .max(DECLARED_MAX, { error: `expected at most ${DECLARED_MAX} capabilities` })
  .refine((words) => new Set(words).size === words.length, {
    error: 'expected each capability once',
  })

/** Labels of a task as they are written. */
export const labelsSchema: z.ZodType<Record<string, string>, Record<string, string>> = textsByName(
  256,
  DECLARED_MAX,
)

/** What a sandbox is proved by, as it is written. */
export const evidenceShape: {
  readonly image: z.ZodOptional<typeof image>
  readonly selectors: z.ZodOptional<ReturnType<typeof textsByName>>
} = {
  image: image.optional(),
  selectors: textsByName(1024).optional(),
}

const identity = z
  .strictObject({
    subject: boundedText(2048).optional().describe("The workload identity's subject."),
    sources: z
      .array(cidr)
      .min(1)
      .max(ENTRIES_MAX, { error: `expected at most ${ENTRIES_MAX} ranges` })
      .optional()
      .describe("Ranges that the client's address must be in."),
    listener: z
      .literal('unix', { error: 'expected unix' })
      .optional()
      .describe('A socket of its own.'),
  })
  .prefault({})

const sandbox = z.strictObject({
  id: label,
  image: image.optional(),
  pid: positiveInteger
    .refine((pid) => pid <= PID_MAX, { error: `expected at most ${PID_MAX}` })
    .optional()
    .describe('A process of the sandbox, by which its cgroup and namespaces are known.'),
  shared: z.boolean({ error: 'expected true or false' }).optional(),
  hooks: z.strictObject({ end: boundedText(2048).optional() }).optional(),
})

const ruleSetName = z
  .string({ error: 'expected the name of a rule set' })
  .regex(/^[A-Za-z0-9][\w.-]{0,127}(@sha256:[0-9a-f]{64})?$/, {
    error: 'expected the name of a rule set, or NAME@sha256: and its 64 hex digits',
  })

const rules = z
  .array(ruleSetName, { error: 'expected a list of rule sets' })
  .min(1, { error: 'expected at least one rule set' })
  .max(ENTRIES_MAX, { error: `expected at most ${ENTRIES_MAX} rule sets` })
  .refine((names) => new Set(names.map((name) => name.split('@', 1)[0])).size === names.length, {
    error: 'expected each rule set once',
  })

/** The keys of a definition; a route that gives one of them itself takes it out. */
const shape = {
  intent: boundedText(8192).describe('What the task declares it will do.'),
  capabilities: capabilitiesSchema.optional().describe('The same in words for machines.'),
  labels: labelsSchema.optional().describe('Texts by name, for conditions of rules.'),
  owner: z.strictObject({ name: label, team: label }).describe('Who is accountable.'),
  agent: z.strictObject({ account: label, instance: label }).describe('Which agent acts.'),
  principal: label.optional().describe('The person on whose behalf; absent: autonomous.'),
  identity: identity.describe('How a caller proves the task.'),
  sandbox: sandbox.describe('What is revoked with the task.'),
  rules: rules.describe('Rule sets in the order in which they are asked.'),
  params: textsByName(1024).default({}).describe('Values of the parameters of the rule sets.'),
  environment: label.describe('Such as dev or prod.'),
  ceiling: z
    .enum(DATA_CLASSES, { error: `expected ${DATA_CLASSES.join(', ')}` })
    .describe('Highest class of data that the task may touch.'),
  notBefore: moment
    .optional()
    .describe('Lets nothing out before, such as 2027-06-30T22:00:00+02:00; its life begins then.'),
  observe: z
    .boolean({ error: 'expected true or false' })
    .optional()
    .describe('What no rule allows passes and is recorded; takes the role operator.'),
  limits: taskLimits.optional(),
  expires: duration.describe('Life of the task, such as 30m.'),
  parent: taskId.optional().describe('The task that this is a stage of.'),
  depth: z
    .int({ error: 'expected a whole number' })
    .min(0)
    .max(DEPTH_MAX, { error: `expected at most ${DEPTH_MAX}` })
    .optional()
    .describe('How many generations of children the task may have.'),
  heartbeat: z
    .strictObject({ within: duration, endAfter: duration })
    .refine(({ within, endAfter }) => endAfter >= within, {
      error: 'expected at least `within`',
      path: ['endAfter'],
    })
    .optional()
    .describe('The task is suspended without a heartbeat within a time, and ended after another.'),
  require: z.strictObject(evidenceShape).optional().describe('What must be proved first.'),
}

/** A task's definition. */
export const taskDefinitionSchema: z.ZodType<TaskDefinition> = z.strictObject(shape)

/** The definition of a child, whose parent is named elsewhere. */
export const childDefinitionSchema: z.ZodType<Omit<TaskDefinition, 'parent'>> = z
  .strictObject(shape)
  .omit({ parent: true })
