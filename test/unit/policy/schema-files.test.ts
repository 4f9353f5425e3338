// The JSON Schema that editors check rule files by says yes to every rule file that is shipped or shown.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'
import { parse } from 'yaml'
import { z } from 'zod'

const root = path.join(import.meta.dirname, '../../..')
const read = (name: string): string => readFileSync(path.join(root, name), 'utf8')
// Of the schema alone, not of the grammar that it is made from.
const schema = z.fromJSONSchema(JSON.parse(read('schema/rules.schema.json')))
const faultOf = (yaml: string): string | undefined => {
  const { error } = schema.safeParse(parse(yaml))
  return error && JSON.stringify(error.issues)
}

void t.test('every shipped rule file is valid by the schema', (t) => {
  const names = readdirSync(path.join(root, 'rules')).filter((name) => name.endsWith('.yaml'))
  t.ok(names.length > 10)
  for (const name of names) t.equal(faultOf(read(`rules/${name}`)), undefined, name)
  t.end()
})

void t.test('so is every rule file that the documentation shows', (t) => {
  const pages = readdirSync(path.join(root, 'docs')).filter((name) => name.endsWith('.md'))
  const examples = [...pages.map((name) => `docs/${name}`), 'README.md'].flatMap((name) =>
    [...read(name).matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml = '']) => ({ name, yaml })),
  )
  const sets = examples.filter(({ yaml }) => /^ruleset:/m.test(yaml))
  t.ok(sets.length >= 3)
  for (const { name, yaml } of sets) t.equal(faultOf(yaml), undefined, name)
  t.end()
})

void t.test('and it says no to what is misspelt or misplaced', (t) => {
  const rule = (keys: string): string => `ruleset: x\nrules:\n  - { id: r, ${keys} }\n`
  t.equal(faultOf(rule('allow: https://a.test, methods: [GET]')), undefined)
  t.ok(faultOf(rule('allow: https://a.test, methds: [GET]')))
  t.ok(faultOf(rule('deny: https://a.test, credential: c')))
  t.ok(faultOf(rule('allow: https://a.test, separate: true')))
  t.ok(faultOf(rule('hold: https://a.test, observe: true')))
  t.end()
})
