// The grammar of a rule file as schemas: what may be written where, and what each text is read as. Deliberately no check
// across keys: `parse.ts` makes those. The JSON Schema for editors is made from it by `schema.ts`.

import { z } from 'zod'

import { DATA_CLASSES, type DataClass } from '../tasks/task.ts'
import type { Cidr } from '../wire/address.ts'
import {
  INSIDE_ALLOW_SHAPE,
  INSIDE_DENY_SHAPE,
  INSIDE_KEYS,
  type InsideSection,
} from './inside-grammar.ts'
import type { Condition } from './condition/condition.ts'
import { condition } from './condition/schema.ts'
import { destinations, groups } from './destination-grammar.ts'
import type { PathPattern } from './path-pattern.ts'
import type { Section } from './reserved.ts'
import type { Destination, GroupReference, RuleLimits, Verdict } from './rule-set.ts'
import {
  alternatives,
  cidr,
  environments,
  identifier,
  instant,
  list,
  method,
  names,
  oneOf,
  path,
  port,
  re2,
  reviewer,
  size,
  text,
  type Alternatives,
} from './scalars.ts'
import { PARAM_NAME } from './template.ts'
import { TEST_KEYS, TEST_SCHEMA } from './test-grammar.ts'
import { WINDOW_SCHEMA, type TimeWindow } from './window.ts'

/** Keys that both verdicts have, read. */
interface SharedKeys extends InsideSection {
  readonly id: string
  readonly description?: string | undefined
  readonly owner?: string | undefined
  readonly methods?: readonly string[] | undefined
  readonly paths?: readonly PathPattern[] | undefined
  readonly query?: Readonly<Record<string, Alternatives>> | undefined
  readonly headers?: Readonly<Record<string, Alternatives>> | undefined
  readonly environment?: readonly string[] | undefined
  readonly between?: TimeWindow | undefined
  readonly when?: Condition | undefined
  readonly expires?: number | undefined
  readonly ticket?: string | undefined
  readonly observe?: boolean | undefined
}

/** A rule, read; which of the optional keys it may have depends on its verdict. */
export interface RuleSection extends SharedKeys {
  readonly allow?: readonly (Destination | GroupReference)[] | undefined
  readonly deny?: readonly (Destination | GroupReference)[] | undefined
  readonly hold?: readonly (Destination | GroupReference)[] | undefined
  readonly ports?: readonly number[] | undefined
  readonly addresses?: readonly Cidr[] | undefined
  readonly credential?: string | undefined
  readonly static?: false | undefined
  readonly data?: DataClass | undefined
  readonly regulation?: readonly string[] | undefined
  readonly category?: readonly string[] | undefined
  readonly accepts?: DataClass | undefined
  readonly profile?: string | undefined
  readonly limit?: (RuleLimits & { readonly bodyBytes?: number | undefined }) | undefined
  readonly separate?: boolean | undefined
  readonly reviewers?: readonly string[] | undefined
  readonly clientAuth?: 'drop' | 'pass' | undefined
  readonly placeholderInBody?: 'pass' | 'refuse' | undefined
}

/** The file around its rules and tests, read. */
export interface FileSection {
  readonly ruleset: string
  readonly description?: string | undefined
  readonly owner?: string | undefined
  readonly for?: { readonly teams: readonly string[] } | undefined
  readonly params?: Readonly<Record<string, ParamSection>> | undefined
  readonly hosts?: Readonly<Record<string, readonly Destination[]>> | undefined
  readonly rules: readonly unknown[]
  readonly tests?: readonly unknown[] | undefined
}

/** An entry of `params`, read. */
interface ParamSection {
  readonly pattern: string
  readonly description?: string | undefined
}

// Fields of this hop or of routing: they do not travel as they came, so a rule on them would judge what is not sent.
const UNSENT_HEADER =
  /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive|proxy-.*|http2-settings|expect)$/i

const queryKey = z.string().min(1, { error: 'expected the name of a query parameter' })
const headerKey = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'expected the name of a header field' })
  .refine((written) => !UNSENT_HEADER.test(written), {
    error: 'this field is not sent on as it comes, so no rule can look at it',
  })
const flag = z.boolean({ error: 'expected true or false' })
const mapping = 'expected a mapping'

const shared = {
  id: identifier('an id').describe('Names the rule in records and tests; unique in the file.'),
  description: text('a text').optional(),
  owner: text('a text').optional().describe('Who answers for the rule.'),
  methods: list(method, 'methods').optional().describe('Absent: any. GET does not imply HEAD.'),
  paths: list(path, 'paths')
    .optional()
    .describe('`*` one segment or part of one, `**` any number of segments, {param}. Absent: any.'),
  query: z
    .record(queryKey, alternatives, { error: `${mapping} of names to values` })
    .optional()
    .describe(
      'Patterns by parameter; `*` any characters. Every value of a repeated one must match.',
    ),
  headers: z
    .record(headerKey, alternatives, { error: `${mapping} of names to values` })
    .optional()
    .describe('Patterns by field; `*` any characters. Every value of a repeated one must match.'),
  environment: environments
    .optional()
    .describe('One or a list: tasks of no other environment. Absent: any task.'),
  between: WINDOW_SCHEMA.optional().describe('Times at which the rule counts. Absent: always.'),
  when: condition
    .optional()
    .describe(
      'A condition in CEL over task, call, destination and now, such as `task.environment == "prod"`; asked last, of rules whose other keys matched. An error does not match on an allow, and denies else. See docs/conditions.md.',
    ),
  expires: instant.optional().describe('From then on the rule is as if it were not there.'),
  ticket: text('a text').optional().describe('Where the exception that the rule is was agreed.'),
}

const observe = flag.optional().describe('Record what would be denied and let it pass. Loud.')
const CALLS = 'expected a whole number of calls, at least 1'
const calls = z.int({ error: CALLS }).positive({ error: CALLS }).optional()

const limitShape = {
  bodyBytes: size.optional().describe('Of one call.'),
  callsPerMinute: calls,
  callsPerHour: calls,
  callsPerDay: calls,
  concurrentCalls: calls,
  calls: calls.describe("In the task's whole life."),
  bytesOut: size.optional().describe("Towards the upstream, in the task's whole life."),
  bytesIn: size.optional().describe("From the upstream, in the task's whole life."),
  perTool: flag.optional().describe('Each tool is counted by itself.'),
}

const passing = {
  ...shared,
  ...INSIDE_ALLOW_SHAPE,
  addresses: list(cidr, 'ranges')
    .optional()
    .describe('Special-purpose addresses that the name may resolve to.'),
  credential: identifier("a credential's name").optional().describe('Added to the call.'),
  static: z
    .literal(false, { error: 'expected false' })
    .optional()
    .describe(
      'false: a credential that is the same for all tasks is not added, and the call refused.',
    ),
  data: oneOf(DATA_CLASSES).optional().describe('Class of what comes back.'),
  regulation: names
    .optional()
    .describe('Laws and standards that what comes back falls under, such as gdpr: one or a list.'),
  category: names
    .optional()
    .describe('Kind of what comes back, such as customer-records: one or a list.'),
  accepts: oneOf(DATA_CLASSES)
    .optional()
    .describe('Highest class that may be sent. Absent: public.'),
  profile: identifier("a profile's name")
    .optional()
    .describe('Of regulated data: what else the rule and the configuration have to keep to.'),
  limit: z
    .strictObject(limitShape, { error: `${mapping} such as { callsPerMinute: 10 }` })
    .optional()
    .describe('Bounds for a task, such as { bodyBytes: 64KiB, callsPerMinute: 10 }.'),
  clientAuth: oneOf(['drop', 'pass'])
    .optional()
    .describe('pass: what the sandbox sends to authenticate is sent on.'),
  placeholderInBody: oneOf(['pass', 'refuse'])
    .optional()
    .describe('refuse: a credential placeholder in a body ends the call.'),
}

const allowShape = {
  ...passing,
  allow: destinations('allow').describe('scheme://host[:port], or { scheme, cidr, port }.'),
  observe,
}

const holdShape = {
  ...passing,
  hold: destinations('hold').describe(
    'A person decides. scheme://host[:port], or { scheme, cidr, port }.',
  ),
  separate: flag.optional().describe("The task's owner and whoever made it may not approve."),
  reviewers: list(reviewer, 'reviewers')
    .optional()
    .describe('Principals who may approve, team:NAME for a team. Absent: any approver.'),
}

const denyShape = {
  ...shared,
  observe,
  ...INSIDE_DENY_SHAPE,
  deny: destinations('deny').describe(
    'Covers every scheme and port of its hosts, save by `ports`.',
  ),
  ports: list(port, 'ports').optional().describe('Absent: all.'),
}

/** The rules by verdict. */
export const RULE_SCHEMAS: Readonly<Record<Verdict, z.ZodType<RuleSection>>> = {
  allow: z.strictObject(allowShape, { error: mapping }),
  deny: z.strictObject(denyShape, { error: mapping }),
  hold: z.strictObject(holdShape, { error: mapping }),
}

const paramShape = {
  pattern: re2.describe('RE2; the whole value has to match.'),
  description: text('a text').optional(),
}

const forShape = { teams: list(text('the name of a team'), 'teams') }

const fileShape = {
  ruleset: identifier("the rule set's name"),
  description: text('a text').optional(),
  owner: text('a text').optional().describe('Who answers for the set.'),
  for: z
    .strictObject(forShape, { error: `${mapping} such as { teams: [payments] }` })
    .optional()
    .describe('Who may be given this set. Absent: anyone.'),
  params: z
    .record(
      z.string().regex(PARAM_NAME, { error: 'expected letters, digits, `_` and `-`' }),
      z.strictObject(paramShape, { error: `${mapping} such as { pattern: '[a-z]+' }` }),
      { error: mapping },
    )
    .optional()
    .describe(
      "What a task supplies; {name} in hosts, paths, query and headers stands for the task's value.",
    ),
  hosts: groups
    .optional()
    .describe('Named groups of destinations, which the rules of all files use as { group: NAME }.'),
  rules: z.array(z.unknown(), { error: 'expected a list of rules' }),
  tests: z.array(z.unknown(), { error: 'expected a list of tests' }).optional(),
}

/** The file, its rules and tests unread: each of them is read by itself, so that one's faults do not hide another's. */
export const FILE_SCHEMA: z.ZodType<FileSection> = z.strictObject(fileShape, { error: mapping })

/** The whole file, for editors. */
export const WHOLE_SCHEMA: z.ZodType = z.strictObject({
  ...fileShape,
  rules: z.array(z.union([RULE_SCHEMAS.allow, RULE_SCHEMAS.deny, RULE_SCHEMAS.hold])),
  tests: z.array(TEST_SCHEMA).optional(),
})

/** The keys of each mapping. */
export const KEYS: Readonly<Record<Section, readonly string[]>> = {
  file: Object.keys(fileShape),
  allow: Object.keys(allowShape),
  deny: Object.keys(denyShape),
  hold: Object.keys(holdShape),
  limit: Object.keys(limitShape),
  ...TEST_KEYS,
  between: ['days', 'from', 'to', 'zone'],
  for: Object.keys(forShape),
  param: Object.keys(paramShape),
  range: ['scheme', 'cidr', 'port', 'group'],
  ...INSIDE_KEYS,
}
