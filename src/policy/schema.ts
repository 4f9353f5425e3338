// The JSON Schema of a rule file, for editors that complete and check. Made from the grammar; the committed copy under
// `schema/` is held to it by a test. Pure.

import { z } from 'zod'

import { WHOLE_SCHEMA } from './grammar.ts'

/** The text of `schema/rules.schema.json`. */
export function ruleSchemaText(): string {
  const schema = z.toJSONSchema(WHOLE_SCHEMA, { target: 'draft-2020-12', io: 'input' })
  return `${JSON.stringify({ title: 'Sallyport rule set', ...schema }, undefined, 2)}\n`
}
