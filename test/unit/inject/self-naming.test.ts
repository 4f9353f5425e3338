// The fields by which a client names itself, and the list of them in the documentation.

import { readFileSync } from 'node:fs'

import t from 'tap'

import {
  isSelfNaming,
  SELF_NAMING_HEADERS,
  SELF_NAMING_PREFIXES,
} from '../../../src/inject/self-naming.ts'

void t.test('fields by which a client names itself are known, and others are not', (t) => {
  for (const name of SELF_NAMING_HEADERS) t.ok(isSelfNaming(name), name)
  for (const prefix of SELF_NAMING_PREFIXES) t.ok(isSelfNaming(`${prefix}x`), prefix)
  for (const name of ['', 'accept', 'x-request-id', 'forwarded-by-me', 'client', 'traceparent'])
    t.notOk(isSelfNaming(name), name)
  t.end()
})

void t.test('the documentation lists exactly these', (t) => {
  const text = readFileSync('docs/identity.md', 'utf8')
  for (const name of SELF_NAMING_HEADERS) t.ok(text.includes(`\`${name}\``), name)
  for (const prefix of SELF_NAMING_PREFIXES) t.ok(text.includes(`\`${prefix}*\``), prefix)
  t.end()
})
