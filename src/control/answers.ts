// What the routes answer, as schemas: the OpenAPI document is made from them. Deliberately not run over answers: the
// compiler holds them to the types of what is sent. Called by the routes.

import { z } from '@hono/zod-openapi'

import { DATA_CLASSES } from '../tasks/task.ts'
import type { Kill, Receipt, TaskView } from '../tasks/view.ts'
import type {
  Inventory,
  ReceiptKey,
  RuleSetView,
  RuleSetText,
  RulesReload,
  TaskEnvironment,
} from './parts.ts'
import { PROBLEM_TYPE, type Problem } from './problems.ts'

/** A type whose optional keys may also be undefined, as the schema library's are. */
type Loose<T> = T extends readonly (infer Item)[]
  ? readonly Loose<Item>[]
  : T extends object
    ? {
        readonly [Key in keyof T]: {} extends Pick<T, Key>
          ? Loose<T[Key]> | undefined
          : Loose<T[Key]>
      }
    : T

/** A schema of what is answered. */
export type AnswerSchema<T> = z.ZodType<Loose<T>>

/** What making a task answers. */
export interface CreatedTask extends TaskEnvironment {
  readonly id: string
  /** Shown once; absent where the request was repeated. */
  readonly token?: string
  readonly task: TaskView
}

const time = z.iso.datetime()
const text = z.string()
const texts = z.array(text)
const textsByName = z.record(text, text)
const count = z.int()

const receiptItem = z.object({
  kind: z.enum([
    'calls',
    'holds',
    'connections',
    'listener',
    'pool',
    'dns',
    'tls',
    'tools',
    'credential',
    'child',
    'sandbox',
  ]),
  name: text,
  lease: text.optional().describe('Of a minted credential: which of its leases.'),
  outcome: z.enum(['ended', 'none', 'forgotten', 'unconfirmed', 'failed']),
  count: count.optional(),
  at: time,
  detail: text.optional(),
  residualExposureUntil: time.nullable().optional().describe('Null where no end is known.'),
})

/** A receipt. */
export const receiptAnswer: AnswerSchema<Receipt> = z
  .object({
    task: text,
    cause: text,
    actor: text,
    reason: text.optional(),
    startedAt: time,
    endedAt: time,
    complete: z.boolean(),
    items: z.array(receiptItem),
    signature: z.object({
      algorithm: z.literal('Ed25519'),
      key: text.describe("The key's JWK thumbprint; see /v1/keys."),
      value: text.describe('base64url over the JSON of the receipt without `signature`.'),
    }),
  })
  .openapi('Receipt')

/** A task. */
export const taskAnswer: AnswerSchema<TaskView> = z
  .object({
    id: text,
    state: z.enum(['pending', 'active', 'suspended', 'revoking', 'ended']),
    path: texts.describe('Ids from the root task down to this one.'),
    parent: text.optional(),
    children: texts,
    intent: text,
    intentDigest: text,
    capabilities: texts.optional(),
    labels: textsByName.optional(),
    owner: z.object({ name: text, team: text, source: z.literal('local').optional() }),
    agent: z.object({ account: text, instance: text }),
    principal: text.optional(),
    identity: z.object({
      token: z.boolean(),
      subject: text.optional(),
      sources: texts,
      socket: text.optional(),
      evidence: text.optional(),
    }),
    sandbox: z.object({
      id: text,
      image: text.optional(),
      teardown: z.enum(['none', 'due', 'confirmed', 'unconfirmed']),
    }),
    rules: texts,
    params: textsByName,
    environment: text,
    ceiling: z.enum(DATA_CLASSES),
    read: z.enum(DATA_CLASSES).describe('The highest class that any task of its tree has read.'),
    observe: z.literal(true).optional().describe('What no rule allows passes.'),
    limits: z
      .array(z.object({ name: text, tool: text.optional(), max: count, used: count }))
      .optional()
      .describe('Limits of the task and what is used of them, by those below it, too.'),
    credentials: z.array(z.object({ name: text, used: z.boolean() })),
    createdAt: time,
    createdBy: text,
    notBefore: time.optional().describe('When it begins, where that is not at once.'),
    expiresAt: time,
    heartbeatDueAt: time.optional(),
    since: time,
    cause: text,
    actor: text,
    unproven: texts.describe('Axes of the delegation that could not be compared.'),
    calls: z.object({ open: count, allowed: count, denied: count }),
    receipt: receiptAnswer.optional(),
  })
  .openapi('Task')

/** Tasks. */
export const tasksAnswer: AnswerSchema<{ tasks: TaskView[]; more: boolean }> = z.object({
  tasks: z.array(taskAnswer),
  more: z.boolean().describe('Whether there are older ones.'),
})

const environmentShape = {
  proxy: text.optional().describe('The proxy URL.'),
  socket: text.optional().describe('The socket that leads to the proxy.'),
  env: textsByName.describe('Every variable that the sandbox needs.'),
}

/** What a task's sandbox is given. */
export const environmentAnswer: AnswerSchema<Shown<TaskEnvironment>> = z.object(environmentShape)

/** What making a task answers. */
export const createdAnswer: AnswerSchema<Shown<CreatedTask>> = z.object({
  id: text,
  token: text.optional().describe('Shown once.'),
  ...environmentShape,
  task: taskAnswer,
})

/** JSON has no undefined: such a key is not there. */
type Shown<T extends TaskEnvironment> = Omit<T, 'proxy'> & { readonly proxy?: string | undefined }

const kill = z
  .object({
    id: text,
    scope: z.enum(['host', 'credential', 'tool', 'task', 'agent', 'owner', 'all']),
    value: text,
    reason: text.optional(),
    by: text,
    at: time,
  })
  .openapi('Kill')

/** One throw of the kill switch. */
export const killAnswer: AnswerSchema<Kill> = kill

/** Throws of the kill switch. */
export const killsAnswer: AnswerSchema<{ kills: Kill[] }> = z.object({ kills: z.array(kill) })

/** What throwing the kill switch did. */
export const killedAnswer: AnswerSchema<{ kill: Kill; ended: string[]; cut: number }> = z.object({
  kill,
  ended: texts.describe('Ids of tasks that ended.'),
  cut: count.describe('Calls that were cut.'),
})

/** An owner's standing. */
export const ownerAnswer: AnswerSchema<{
  owner: string
  disabled: boolean
  suspended?: string[]
}> = z.object({ owner: text, disabled: z.boolean(), suspended: texts.optional() })

/** Owners who were disabled. */
export const ownersAnswer: AnswerSchema<{ disabled: string[] }> = z.object({ disabled: texts })

const ruleSet = z.object({
  name: text,
  version: text,
  description: text.optional(),
  owner: text.optional(),
  for: z.object({ teams: texts }).optional(),
})

/** Rule sets. */
export const rulesAnswer: AnswerSchema<{ rules: RuleSetView[] }> = z.object({
  rules: z.array(ruleSet),
})

/** One rule set with its text. */
export const ruleTextAnswer: AnswerSchema<RuleSetText> = ruleSet.extend({
  inForce: z.boolean(),
  text,
})

/** What a reload of the rules found. */
export const reloadAnswer: AnswerSchema<RulesReload> = z.object({
  inForce: z.boolean().describe('Whether the rules as they are now are in force.'),
  problems: z.array(z.object({ file: text, line: count, column: count, message: text })),
  changed: z.boolean(),
})

/** What is known of the sandboxes. */
export const inventoryAnswer: AnswerSchema<Inventory> = z.object({
  tasks: count,
  sandboxes: texts,
  identities: z.array(
    z.object({
      task: text,
      state: z.enum(['pending', 'active', 'suspended', 'revoking', 'ended']),
      agent: text,
      instance: text,
      owner: text,
      sandbox: text,
      subject: text.optional(),
      credentials: texts,
    }),
  ),
  more: z.boolean(),
  credentials: texts,
  unknownClients: z.array(
    z.object({
      standing: z.literal('unknown-client'),
      address: text,
      reason: text,
      firstSeen: time,
      lastSeen: time,
      count,
    }),
  ),
})

/** Receipt keys as a JWKS. */
export const keysAnswer: AnswerSchema<{ keys: ReceiptKey[] }> = z.object({
  keys: z.array(z.object({ kty: text, crv: text, x: text, kid: text })),
})

const problem: AnswerSchema<Problem> = z
  .object({
    type: text,
    title: text,
    status: count,
    reason: text,
    detail: text,
    field: text.optional().describe('JSON pointer to the field at fault.'),
    remedy: text,
  })
  .openapi('Problem')

/** The part of every route's answers that refuses. */
export const REFUSALS: {
  readonly '4XX': {
    readonly description: string
    readonly content: { readonly [PROBLEM_TYPE]: { readonly schema: typeof problem } }
  }
} = {
  '4XX': { description: 'Refused', content: { [PROBLEM_TYPE]: { schema: problem } } },
}
