// The grammar of a rule file as schemas: what may be written where, and what each text is read as. Deliberately no check
// across keys: `parse.ts` makes those. The JSON Schema for editors is made from it by `schema.ts`.

import { z } from 'zod'

import { DATA_CLASSES, type DataClass } from '../tasks/task.ts'
import type { Cidr } from '../wire/address.ts'
import {
  INSIDE_ALLOW_SHAPE,
  INSIDE_DENY_SHAPE,
  INSIDE_KEYS,
  TESTED_SHAPE,
  type InsideSection,
  type TestedSection,
} from './inside-grammar.ts'
import type { PathPattern } from './path-pattern.ts'
import type { Section } from './reserved.ts'
import type { Destination, Expectation } from './rule-set.ts'
import {
  alternatives,
  cidr,
  destinations,
  environments,
  environmentLabel,
  identifier,
  list,
  method,
  oneOf,
  path,
  port,
  re2,
  readBy,
  regulations,
  size,
  text,
  type Alternatives,
} from './scalars.ts'
import { PARAM_NAME } from './template.ts'
import { CALL_PATTERN, readExpectation } from './written-call.ts'

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
  readonly observe?: boolean | undefined
}

/** A rule, read; which of the optional keys it may have depends on its verdict. */
export interface RuleSection extends SharedKeys {
  readonly allow?: readonly Destination[] | undefined
  readonly deny?: readonly Destination[] | undefined
  readonly ports?: readonly number[] | undefined
  readonly addresses?: readonly Cidr[] | undefined
  readonly credential?: string | undefined
  readonly data?: DataClass | undefined
  readonly regulation?: readonly string[] | undefined
  readonly limit?: { readonly bodyBytes?: number | undefined } | undefined
  readonly clientAuth?: 'drop' | 'pass' | undefined
  readonly placeholderInBody?: 'pass' | 'refuse' | undefined
}

/** An entry of `tests`, read. */
export interface TestSection extends TestedSection {
  readonly call: string
  readonly params?: Readonly<Record<string, string>> | undefined
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined
  readonly task?: { readonly environment: string } | undefined
  readonly expect: Expectation
}

/** The file around its rules and tests, read. */
export interface FileSection {
  readonly ruleset: string
  readonly description?: string | undefined
  readonly owner?: string | undefined
  readonly for?: { readonly teams: readonly string[] } | undefined
  readonly params?: Readonly<Record<string, ParamSection>> | undefined
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
    .record(queryKey, alternatives, { error: mapping })
    .optional()
    .describe(
      'Patterns by parameter; `*` any characters. Every value of a repeated one must match.',
    ),
  headers: z
    .record(headerKey, alternatives, { error: mapping })
    .optional()
    .describe('Patterns by field; `*` any characters. Every value of a repeated one must match.'),
  environment: environments
    .optional()
    .describe('One or a list: tasks of no other environment. Absent: any task.'),
  observe: flag.optional().describe('Record what would be denied and let it pass. Loud.'),
}

const allowShape = {
  ...shared,
  ...INSIDE_ALLOW_SHAPE,
  allow: destinations('allow').describe('scheme://host[:port], or { scheme, cidr, port }.'),
  addresses: list(cidr, 'ranges')
    .optional()
    .describe('Special-purpose addresses that the name may resolve to.'),
  credential: identifier("a credential's name").optional().describe('Added to the call.'),
  data: oneOf(DATA_CLASSES).optional().describe('Class of what comes back.'),
  regulation: regulations
    .optional()
    .describe('Laws and standards that what comes back falls under, such as gdpr: one or a list.'),
  limit: z
    .strictObject({ bodyBytes: size.optional() }, { error: mapping })
    .optional()
    .describe('Bounds of a call, such as { bodyBytes: 64KiB }.'),
  clientAuth: oneOf(['drop', 'pass'])
    .optional()
    .describe('pass: what the sandbox sends to authenticate is sent on.'),
  placeholderInBody: oneOf(['pass', 'refuse'])
    .optional()
    .describe('refuse: a credential placeholder in a body ends the call.'),
}

const denyShape = {
  ...shared,
  ...INSIDE_DENY_SHAPE,
  deny: destinations('deny').describe(
    'Covers every scheme and port of its hosts, save by `ports`.',
  ),
  ports: list(port, 'ports').optional().describe('Absent: all.'),
}

/** The rules by verdict. */
export const RULE_SCHEMAS: Readonly<Record<'allow' | 'deny', z.ZodType<RuleSection>>> = {
  allow: z.strictObject(allowShape, { error: mapping }),
  deny: z.strictObject(denyShape, { error: mapping }),
}

const taskShape = { environment: environmentLabel }

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
    .strictObject(taskShape, { error: mapping })
    .optional()
    .describe('Of the task that asks. Absent: its environment is not known.'),
  ...TESTED_SHAPE,
  expect: readBy(text('`allow RULE-ID` or `deny REASON`'), readExpectation).describe(
    'allow RULE-ID, or deny REASON.',
  ),
}

/** An entry of `tests`. */
export const TEST_SCHEMA: z.ZodType<TestSection> = z.strictObject(testShape, { error: mapping })

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
    .strictObject(forShape, { error: mapping })
    .optional()
    .describe('Who may be given this set. Absent: anyone.'),
  params: z
    .record(
      z.string().regex(PARAM_NAME, { error: 'expected letters, digits, `_` and `-`' }),
      z.strictObject(paramShape, { error: mapping }),
      { error: mapping },
    )
    .optional()
    .describe(
      "What a task supplies; {name} in hosts, paths, query and headers stands for the task's value.",
    ),
  rules: z.array(z.unknown(), { error: 'expected a list of rules' }),
  tests: z.array(z.unknown(), { error: 'expected a list of tests' }).optional(),
}

/** The file, its rules and tests unread: each of them is read by itself, so that one's faults do not hide another's. */
export const FILE_SCHEMA: z.ZodType<FileSection> = z.strictObject(fileShape, { error: mapping })

/** The whole file, for editors. */
export const WHOLE_SCHEMA: z.ZodType = z.strictObject({
  ...fileShape,
  rules: z.array(z.union([RULE_SCHEMAS.allow, RULE_SCHEMAS.deny])),
  tests: z.array(TEST_SCHEMA).optional(),
})

/** The keys of each mapping. */
export const KEYS: Readonly<Record<Section, readonly string[]>> = {
  file: Object.keys(fileShape),
  allow: Object.keys(allowShape),
  deny: Object.keys(denyShape),
  limit: ['bodyBytes'],
  test: Object.keys(testShape),
  task: Object.keys(taskShape),
  for: Object.keys(forShape),
  param: Object.keys(paramShape),
  range: ['scheme', 'cidr', 'port'],
  ...INSIDE_KEYS,
}
