// What is a condition and what is not: names, functions, types, cost, and where each fault is.

import t from 'tap'

import { condition, faults } from './judge.ts'

void t.test('a condition says what it reads', (t) => {
  t.same(condition('task.environment == "prod"').needs, [])
  t.same(condition('call.tool.name == "pay" || has(call.git)').needs, ['mcp', 'git'])
  t.same(condition('call.graphql.operations.all(o, o.type == "query")').needs, ['graphql'])
  t.same(condition('call.body.json.amount > 100').needs, ['body'])
  t.same(condition('has(call.body)').needs, ['body'])
  t.equal(condition('now.getHours() < 8').readsNow, true)
  t.equal(condition('task.environment == "prod"').readsNow, false)
  t.end()
})

void t.test('unknown names are refused, with the one that was meant', (t) => {
  const cases: [text: string, offset: number, message: RegExp, hint: RegExp][] = [
    ['call.metod == "GET"', 5, /`call` has no `metod`/, /did you mean `method`/],
    ['task.owner.nme == "a"', 11, /`task.owner` has no `nme`/, /did you mean `name`/],
    ['has(call.tol)', 9, /`call` has no `tol`/, /did you mean `tool`/],
    ['cal.method == "GET"', 0, /unknown name `cal`/, /did you mean `call`/],
    ['x == 1', 0, /unknown name `x`/, /there are task, call/],
    ['call.graphql.operations.all(o, o.typ == "x")', 33, /no `typ`/, /did you mean `type`/],
    ['call.git.commands.all(c, c.rev == "x")', 27, /no `rev`/, /`ref`/],
    ['call.host.startWith("a")', 0, /no method `startWith`/, /did you mean `startsWith`/],
    ['siz(call.host) > 1', 0, /no function `siz`/, /did you mean `size`/],
    ['call.host.re2("a")', 0, /no method `re2`/, /write re2\(/],
  ]
  for (const [text, offset, message, hint] of cases) {
    const [fault] = faults(text)
    t.match(fault, { offset, message, hint }, text)
  }
  t.end()
})

void t.test('every fault is told at once', (t) => {
  t.same(
    faults('call.metod == "GET" && task.intnt == "x"').map(({ offset }) => offset),
    [5, 28],
  )
  t.end()
})

void t.test('types are checked', (t) => {
  for (const [text, message] of [
    ['call.port == "443"', /no such overload/],
    ['call.host > 3', /no such overload/],
    ['call.host', /true or false/],
    ['call.port + 1', /true or false/],
    ['call.tool.arguments.yes', /true or false/],
    ['call', /no value by itself/],
    ['task.owner == "x"', /no value by itself/],
    ['task.ceiling == "secret"', /`secret` is no class/],
    ['destination.data in ["public", "intern"]', /`intern` is no class/],
    ['task.ceiling > "public"', /have no order/],
    ['level("top") == 1', /`top` is no class/],
    ['timestamp("2026-02-30T00:00:00Z") < now', /no point of time/],
    ['now - now > duration("1 hour")', /no duration/],
    ['now.getHours("Europe/Berln") == 1', /is no zone/],
    ['now.getHours(call.host) == 1', /zone is written out/],
  ] as const)
    t.match(faults(text)[0]?.message, message, text)
  t.end()
})

void t.test('what is no CEL is a fault with its place', (t) => {
  for (const [text, offset] of [
    ['', 0],
    ['call.host ==', 12],
    ['call.host == "a', 13],
    ['call.host = "a"', 10],
    ['(call.port == 1', 15],
    ['call..host == "a"', 5],
    ['"\\d" == "a"', 1],
    ['call.port == 443 443', 17],
  ] as const)
    t.equal(faults(text)[0]?.offset, offset, text)
  t.end()
})

void t.test('what has no bound is refused', (t) => {
  for (const [text, message] of [
    ['call.host.matches("a")', /`matches` is not offered/],
    ['call.segments.all(s, call.segments.exists(r, r == s))', /comprehensions do not stand/],
    ['call.segments.map(s, call.segments.map(r, r)).size() > 1', /comprehensions do not stand/],
    ['cel.bind(x, 1, x > 0)', /cel.bind/],
    ['re2(call.host, call.path)', /a pattern that is written here/],
    ['re2(call.host, "(")', /not an RE2/],
    ['re2(call.host, "(?=a)")', /not an RE2/],
    [`re2(call.host, "${'a'.repeat(300)}")`, /at most 256/],
    ['glob(call.host, call.path)', /a pattern that is written here/],
    ['cidr(call.host, "10.0.0.1/8")', /no range of addresses/],
    ['dyn(call.host) == 1', /no function `dyn`/],
    ['type(call.host) == string', /no function `type`|unknown name/],
    ['b"a" == b"a"', /not offered/],
    ['1u == 1u', /not offered/],
    ['call.segments.all(call, true)', /means something else/],
    [`call.host == "${'a'.repeat(5000)}"`, /at most 4096 characters/],
    [`${'call.port == 1 || '.repeat(200)}true`, /maxAstNodes/],
    [`${'('.repeat(100)}true${')'.repeat(100)}`, /maxDepth/],
    [`${'['.repeat(100)}1${']'.repeat(100)} == []`, /maxDepth/],
  ] as const)
    t.match(faults(text)[0]?.message, message, text.slice(0, 60))
  // The allowed twins.
  condition('re2(call.host, "^a")')
  condition('call.segments.filter(s, s != "").exists(s, s == "x")')
  condition(`${'call.port == 1 || '.repeat(90)}true`)
  condition(`${'!'.repeat(400)}true`)
  condition(`${'('.repeat(20)}true${')'.repeat(20)}`)
  t.match(faults(`${'!'.repeat(4000)}true`)[0]?.message, /maxAstNodes|nested/)
  t.end()
})
