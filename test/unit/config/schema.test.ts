// Holds schema/config.schema.json to the grammar; run with UPDATE_SCHEMA=1 to write it.

import { readFileSync, writeFileSync } from 'node:fs'

import t from 'tap'

import { configJsonSchema } from '../../../src/config/schema.ts'

const FILE = new URL('../../../schema/config.schema.json', import.meta.url)

void t.test('the JSON Schema that editors read is the one of the grammar', (t) => {
  const text = `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`
  if (process.env['UPDATE_SCHEMA'] === '1') writeFileSync(FILE, text)
  t.equal(readFileSync(FILE, 'utf8'), text)
  t.end()
})

void t.test('it knows the sections, their keys and what must be there', (t) => {
  t.match(configJsonSchema(), {
    additionalProperties: false,
    properties: {
      listen: { properties: { proxy: { type: 'string', default: '127.0.0.1:3128' } } },
      task: {
        required: [
          'intent',
          'owner',
          'agent',
          'sandbox',
          'rules',
          'environment',
          'ceiling',
          'expires',
        ],
      },
      journal: { properties: { sync: { enum: ['process', 'disk'], default: 'process' } } },
      limits: { properties: { connectionsMax: { default: 4096 } } },
    },
  })
  t.end()
})
