import { readFileSync } from 'node:fs'

import t from 'tap'

import {
  CLIENT_AUTH_HEADERS,
  CLIENT_AUTH_QUERY,
  NO_CLIENT_AUTH,
  withParameter,
} from '../../../src/inject/client-auth.ts'
import { BEARER, prepare } from './support.ts'

void t.test('docs/credentials.md lists what is dropped, no more and no less', (t) => {
  const page = readFileSync(new URL('../../../docs/credentials.md', import.meta.url), 'utf8')
  const table = page.split('\n').slice(page.split('\n').findIndex(isHeading) + 2)
  const rows = table.slice(
    0,
    table.findIndex((line) => !line.startsWith('|')),
  )
  const column = (at: number): string[] =>
    rows
      .map((line) => /`([^`]+)`/.exec(line.split('|')[at] ?? '')?.[1])
      .filter((name) => name !== undefined)
  t.strictSame(column(1).sort(), [...CLIENT_AUTH_HEADERS].sort())
  t.strictSame(column(2).sort(), [...CLIENT_AUTH_QUERY].sort())
  t.end()
})

function isHeading(line: string): boolean {
  return /^\| *headers *\| *query parameters *\|$/.test(line)
}

void t.test(
  'R22: every entry of the table is dropped where a credential is for the host, and nowhere else',
  (t) => {
    for (const name of CLIENT_AUTH_HEADERS) {
      const headers = [name.toUpperCase(), 'own']
      t.strictSame(prepare({ headers, brokered: [BEARER] }).headers, ['Host', 'api.test'])
      t.strictSame(prepare({ headers }).headers, ['Host', 'api.test', ...headers])
    }
    for (const name of CLIENT_AUTH_QUERY) {
      const query = `a=1&${name.toUpperCase()}=own&b=2`
      t.equal(prepare({ query, brokered: [BEARER] }).path, '/?a=1&b=2')
      t.equal(prepare({ query }).path, `/?${query}`)
    }
    t.end()
  },
)

void t.test('R22: names of parameters are matched as frameworks read them', (t) => {
  for (const name of ['api.key', 'api_key[]', '+api_key', '%2561pi_key', 'x_amz_signature'])
    t.equal(prepare({ query: `a=1&${name}=own`, brokered: [BEARER] }).path, '/?a=1', name)
  t.equal(prepare({ query: 'apikeys=1', brokered: [BEARER] }).path, '/?apikeys=1')
  t.end()
})

void t.test('the names of a place are one set, so that how they are read is kept', (t) => {
  const names = new Set(['token'])
  t.equal(withParameter(names, 'Token'), names)
  const both = withParameter(names, 'Key')
  t.strictSame([...both], ['token', 'key'])
  t.equal(withParameter(names, 'key'), both)
  t.not(withParameter(names, 'sig'), both)
  t.strictSame([...withParameter(NO_CLIENT_AUTH.query, 'key')], ['key'])
  t.equal(names.size, 1)
  t.end()
})
