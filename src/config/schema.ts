// The grammar of `sallyport.yaml`, section by section: what may be written, what it means unless written, and how its
// texts become numbers. Deliberately no check across sections and no path resolution: `load.ts` does both.
// The JSON Schema for editors is made from it.

import { z } from 'zod'

import { DEFAULT_LIMITS, type Limits } from '../limits.ts'
import { CONTENT_MODES } from '../policy/subject.ts'
import { boundedText, cidr, duration, moment, positiveInteger, size } from '../tasks/scalars.ts'
import { capabilitiesSchema, labelsSchema } from '../tasks/schema.ts'
import { taskLimits } from '../tasks/limits-schema.ts'
import { DATA_CLASSES, type TaskLimits } from '../tasks/task.ts'
import type { Config, TaskDefinition } from './config.ts'
import { controlSchema, type ControlSection } from './control-schema.ts'
import { credentialSchema, type CredentialSection } from './credentials/credential-schema.ts'
import { hooksSchema, type HookSection } from './hook-schema.ts'
import { identitySchema, type IdentitySection } from './identity-schema.ts'
import { reviewersSchema, type ReviewerSection } from './reviewer-schema.ts'
import { profilesSchema, type ProfileSections } from './profile-schema.ts'
import { redactSchema, type RedactSection } from './redact-schema.ts'
import { listenSchema, type ListenSection } from './listen-schema.ts'
import { limitValue } from './scalars.ts'
import type { SinkDefinition } from './sink-definition.ts'
import { sinkSchema } from './sink-schema.ts'
import { upstreamSchema, type UpstreamSection } from './upstream-schema.ts'

/** The static task as it is written. */
export interface TaskSection extends Omit<
  TaskDefinition,
  | 'lifetimeMs'
  | 'sources'
  | 'sandbox'
  | 'principal'
  | 'notBefore'
  | 'capabilities'
  | 'labels'
  | 'observe'
  | 'limits'
> {
  readonly notBefore?: number | undefined
  readonly capabilities?: readonly string[] | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly observe?: boolean | undefined
  readonly limits?: TaskLimits | undefined
  readonly principal?: string | undefined
  readonly identity: { readonly sources?: readonly string[] | undefined }
  readonly sandbox: {
    readonly id: string
    readonly image?: string | undefined
    readonly hooks?: { readonly end?: string | undefined } | undefined
  }
  /** Milliseconds. */
  readonly expires: number
}

/** What each section of a file becomes; paths are as written. */
export interface Sections {
  readonly listen: ListenSection
  readonly control: ControlSection
  readonly ca: { readonly dir: string; readonly key: string; readonly lifetime: number }
  readonly rules: Config['rules']
  readonly state: { readonly dir: string }
  readonly task: TaskSection | undefined
  readonly identity: IdentitySection
  readonly credentials: Readonly<Record<string, CredentialSection>>
  readonly journal: Omit<Config['journal'], 'retainMs'> & { readonly retain: number }
  readonly record: Config['record']
  readonly redact: RedactSection
  /** Paths are as written. */
  readonly sinks: readonly SinkDefinition[]
  readonly refusals: Config['refusals']
  readonly upstream: UpstreamSection
  readonly hooks: Readonly<Record<string, HookSection>>
  readonly reviewers: Readonly<Record<string, ReviewerSection>>
  readonly profiles: ProfileSections
  readonly limits: Limits
}

const filePath = boundedText(4096)
const label = boundedText(256)
const ruleSetName = z
  .string({ error: 'expected the name of a rule set' })
  .regex(/^[A-Za-z0-9][\w.-]{0,127}$/, { error: 'expected the name of a rule set' })
const pinnedRuleSet = z
  .string({ error: 'expected the name of a rule set' })
  .regex(/^[A-Za-z0-9][\w.-]{0,127}(@sha256:[0-9a-f]{64})?$/, {
    error: 'expected the name of a rule set, or NAME@sha256: and its 64 hex digits',
  })
const paramValue = z.string({ error: 'expected a text: put it in quotes' })

const ca: z.ZodType<Sections['ca']> = z
  .strictObject({
    dir: filePath.default('certs').describe('Public material only; may be mounted into a sandbox.'),
    key: filePath.default('state/ca.key').describe("The CA's private key; made on first start."),
    lifetime: duration.prefault('30d'),
  })
  .prefault({})

const rules: z.ZodType<Sections['rules']> = z
  .strictObject({
    dir: filePath.default('rules').describe('Every *.yaml below it is one rule set.'),
    always: z
      .array(ruleSetName)
      .default([])
      .describe('Sets whose denies and limits bind every task.'),
  })
  .prefault({})

const state: z.ZodType<Sections['state']> = z
  .strictObject({
    dir: filePath.default('state').describe('Tasks, cursors and keys; never mounted.'),
  })
  .prefault({})

const task: z.ZodType<Sections['task']> = z
  .strictObject({
    intent: boundedText(8192).describe('What the task declares it will do.'),
    capabilities: capabilitiesSchema.optional().describe('The same in words for machines.'),
    labels: labelsSchema.optional().describe('Texts by name, for conditions of rules.'),
    owner: z.strictObject({ name: label, team: label }).describe('Who is accountable.'),
    agent: z.strictObject({ account: label, instance: label }).describe('Which agent acts.'),
    principal: label.optional().describe('The person on whose behalf; absent: autonomous.'),
    identity: z
      .strictObject({
        sources: z
          .array(cidr)
          .min(1)
          .optional()
          .describe("Ranges that the client's address must be in."),
      })
      .prefault({}),
    sandbox: z
      .strictObject({
        id: label,
        image: label.optional(),
        hooks: z.strictObject({ end: label.optional() }).optional(),
      })
      .describe('What is revoked with the task.'),
    rules: z
      .array(pinnedRuleSet)
      .min(1, { error: 'expected at least one rule set' })
      .describe('Rule sets in the order in which they are asked; NAME@sha256:… is pinned.'),
    params: z
      .record(z.string(), paramValue)
      .default({})
      .describe('Values of the parameters of the rule sets.'),
    environment: label.describe('Such as dev or prod.'),
    ceiling: z.enum(DATA_CLASSES).describe('Highest class of data that the task may touch.'),
    notBefore: moment
      .optional()
      .describe('Lets nothing out before; its life begins then. A time with its offset.'),
    observe: z
      .boolean({ error: 'expected true or false' })
      .optional()
      .describe('What no rule allows passes and is recorded.'),
    limits: taskLimits.optional(),
    expires: duration.describe('Life of the task; at most limits.taskLifetimeMs.'),
  })
  .optional()
  .describe("This sidecar's one task, active from its start.")

const credentials: z.ZodType<Sections['credentials']> = z
  .record(
    z.string().regex(/^[A-Za-z0-9][\w-]{0,62}$/, {
      error: 'expected letters, digits, _ and - only, 63 at the most',
    }),
    credentialSchema,
  )
  .prefault({})

const journal: z.ZodType<Sections['journal']> = z
  .strictObject({
    dir: filePath.default('journal'),
    sync: z
      .enum(['process', 'disk'])
      .default('process')
      .describe('What a record survives: the death of the process, or also that of the machine.'),
    segmentBytes: size.prefault('64MiB'),
    retain: duration.prefault('30d'),
    maxBytes: size.prefault('4GiB').describe('All segments together; beyond it calls are refused.'),
    denialsPerTaskPerSecond: positiveInteger
      .default(50)
      .describe('Refusals beyond are counted in one record.'),
  })
  .prefault({})

const record: z.ZodType<Sections['record']> = z
  .strictObject({
    prompts: z
      .enum(CONTENT_MODES)
      .default('digest')
      .describe('What is kept of what is said to a model and by it.'),
    tools: z
      .enum(CONTENT_MODES)
      .default('redacted')
      .describe("What is kept of a tool's arguments and results."),
  })
  .prefault({})

const sinks: z.ZodType<Sections['sinks']> = z
  .array(sinkSchema)
  .prefault([])
  .describe('Where records are copied to.')

const refusals: z.ZodType<Sections['refusals']> = z
  .strictObject({
    connect: z
      .enum(['early', 'inside'])
      .default('early')
      .describe(
        'early: refuse the CONNECT; inside: accept it and answer the requests in it, dialing nothing.',
      ),
  })
  .prefault({})

const limits: z.ZodType<Sections['limits']> = limitsSchema()

/** The schema of each section; what is not written has its default. */
export const SECTIONS: { readonly [Name in keyof Sections]: z.ZodType<Sections[Name]> } = {
  listen: listenSchema,
  control: controlSchema,
  ca,
  rules,
  state,
  task,
  identity: identitySchema,
  credentials,
  journal,
  record,
  redact: redactSchema,
  sinks,
  refusals,
  upstream: upstreamSchema,
  hooks: hooksSchema,
  reviewers: reviewersSchema,
  profiles: profilesSchema,
  limits,
}

/** Makes the JSON Schema by which editors complete and check `sallyport.yaml`. */
export function configJsonSchema(): object {
  const document = z.strictObject(SECTIONS).meta({ title: 'Sallyport configuration' })
  return z.toJSONSchema(document, { io: 'input', target: 'draft-2020-12' })
}

/** Every bound of `limits.ts` by its name; a shape that is written out twice would drift. */
function limitsSchema(): z.ZodType<Limits> {
  const shape: Record<string, z.ZodType<number>> = {}
  for (const [name, value] of Object.entries(DEFAULT_LIMITS))
    shape[name] = limitValue(name).prefault(value)
  return z
    .strictObject(shape)
    .prefault({})
    .transform((values): Limits => ({ ...DEFAULT_LIMITS, ...values }))
}
