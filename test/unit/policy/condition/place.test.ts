// Where a fault of a condition stands in the file, however YAML lets it be written.

import t from 'tap'

import { parseRuleSet } from '../../../../src/policy/parse.ts'

function file(when: string): string {
  return `ruleset: r\nrules:\n  - id: a\n    allow: https://a.test\n    when: ${when}\n`
}

/** Line, column and message of what is wrong. */
function faultsOf(when: string): string[] {
  const { problems } = parseRuleSet(file(when), 'f.yaml')
  return problems.map(({ line, column, message }) => `${line}:${column} ${message}`)
}

void t.test('a fault is placed at its character', (t) => {
  const cases: [when: string, place: string][] = [
    ['call.metod == "GET"', '5:16'],
    ['task.depth == 1 && call.metod == "GET"', '5:35'],
    [`'call.host == "it''s" && call.metod == "GET"'`, '5:41'],
    [`"call.host == 'a' && call.metod == 'GET'"`, '5:37'],
    [`"call.host == \\"a\\" && call.metod == \\"GET\\""`, '5:39'],
    [`"call.host == \\u0022a\\x22 && call.metod == 'G'"`, '5:45'],
    ['>\n      task.depth == 1 &&\n      call.metod == "GET"', '7:12'],
    ['>-  # why\n      task.depth == 1 &&\n      call.metod == "GET"', '7:12'],
    ['|\n      task.depth == 1 &&\n\n        call.metod == "GET"', '8:14'],
    ['|2\n      task.depth == 1 &&\n      call.metod == "GET"', '7:12'],
    ['\n      task.depth == 1 &&\n      call.metod == "GET"', '7:12'],
    [`"task.depth == 1 &&\n      call.metod == 'GET'"`, '6:12'],
    [`"task.depth == 1 && \\\n      call.metod == 'GET'"`, '6:12'],
    [`'task.depth == 1 &&\n\n      call.metod == "GET"'`, '7:12'],
  ]
  for (const [when, place] of cases)
    t.same(faultsOf(when), [`${place} \`call\` has no \`metod\``], when)
  t.end()
})

void t.test('every fault of a condition has its place', (t) => {
  t.same(faultsOf('|\n      call.metod == "GET" &&\n      task.intnt == "x"'), [
    '6:12 `call` has no `metod`',
    '7:12 `task` has no `intnt`',
  ])
  t.match(faultsOf('>\n      call.host ==\n'), [/^6:19 unexpected token/])
  t.match(faultsOf('"call.host"'), [/^5:12 expected what is true or false/])
  t.match(faultsOf('true'), [/^5:11 expected a condition in CEL/])
  t.match(faultsOf('"call.host == \'a"'), [/^5:2\d unterminated string/])
  t.same(faultsOf('call.method == "GET"'), [])
  t.end()
})
