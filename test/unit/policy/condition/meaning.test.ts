// What a condition comes to: each name of the environment, absence, repetition and error, numbers, readings, time.

import t from 'tap'

import { explain, holds, judge, toolCall, type Call } from './judge.ts'

void t.test('each name of the environment can be asked, and decides', (t) => {
  const call: Call = {
    task: {
      intent: 'triage',
      labels: { tier: 'gold' },
      capabilities: ['read'],
      owner: { name: 'on-call', team: 'payments' },
      agent: { account: 'bot', instance: 'bot/7' },
      environment: 'prod',
      params: { repo: 'acme/widgets' },
      ceiling: 'confidential',
      depth: 2,
    },
    host: 'api.test',
    port: 8443,
    method: 'POST',
    path: '/repos/acme',
    query: 'a=1&b=2&b=3',
    headers: ['Content-Type', 'text/plain', 'X-Id', '1', 'x-id', '2'],
    content: {
      mcp: {
        kind: 'item',
        method: 'tools/call',
        list: 'tools',
        name: 'pay',
        arguments: { to: 'a', list: [1, 2], deep: { x: true } },
      },
      graphql: {
        operations: [
          { type: 'query', fields: [['viewer'], ['viewer', 'login']], introspection: false },
        ],
      },
      git: {
        repo: 'acme/widgets',
        service: 'receive-pack',
        commands: [{ ref: 'refs/heads/main', change: 'delete' }],
      },
      body: { json: { amount: 5, items: [{ price: 1 }, { price: 2.5 }] } },
    },
    destination: { data: 'restricted', environment: 'prod' },
  }
  const yes = [
    'task.intent == "triage"',
    'task.labels.tier == "gold" && task.labels["tier"] == "gold" && "tier" in task.labels',
    '"read" in task.capabilities && task.capabilities.size() == 1',
    'task.owner.name == "on-call" && task.owner.team == "payments"',
    'task.agent.account == "bot" && task.agent.instance == "bot/7"',
    'task.environment == "prod" && task.environment == destination.environment',
    'task.params.repo == "acme/widgets"',
    'task.ceiling == "confidential" && level(task.ceiling) < level(destination.data)',
    'task.depth == 2 && task.depth < 3',
    'call.host == "api.test" && call.host.endsWith(".test")',
    'call.port == 8443 && call.port in [443, 8443]',
    'call.method == "POST"',
    'call.path == "/repos/acme" && call.segments == ["repos", "acme"]',
    'call.segments[1] == "acme" && call.segments.size() == 2',
    'call.query.a == "1" && "b" in call.query && !("c" in call.query)',
    'call.queryAll["b"] == ["2", "3"] && call.queryAll.b.exists(v, v == "3")',
    'call.headers["content-type"].startsWith("text/")',
    'call.headersAll["x-id"] == ["1", "2"]',
    'call.tool.name == "pay" && call.tool.arguments.to == "a"',
    'call.tool.arguments.list.all(n, n < 3) && call.tool.arguments.deep.x == true',
    'call.graphql.operations.all(o, o.type == "query" && "viewer.login" in o.fields)',
    'call.git.repo == "acme/widgets" && call.git.service == "receive-pack"',
    'call.git.commands.exists(c, c.change == "delete" && c.ref == "refs/heads/main")',
    'call.body.json.amount == 5 && call.body.json.items[1].price == 2.5',
    'call.body.json.items.map(i, i.price) == [1.0, 2.5]',
    'destination.data == "restricted"',
    'now == timestamp("2026-07-01T10:00:00Z") && now > timestamp("2026-06-30T23:59:59+02:00")',
    'has(call.tool) && has(call.git) && has(call.graphql) && has(call.body)',
  ]
  holds(t, call, Object.fromEntries(yes.map((text) => [text, true])))
  // Nothing of it is known of another call, and nothing of it holds then.
  const other = { host: 'other.example', now: '2026-01-01T00:00:00Z' }
  for (const text of yes) t.not(judge(text, other), true, text)
  t.end()
})

void t.test('what is absent is an error to read, and can be asked for', (t) => {
  holds(
    t,
    {},
    {
      'task.intent == "x"': 'error',
      'task.intent != "x"': 'error',
      'has(task.intent)': false,
      'has(task.owner)': false,
      'task.owner.name == "x"': 'error',
      'call.query.a == "1"': 'error',
      'has(call.query.a)': false,
      '"a" in call.query': false,
      'call.headers["x"] == "1"': 'error',
      '"x" in call.headers': false,
      'call.tool.name == "x"': 'error',
      'has(call.tool)': false,
      'has(call.tool.name)': false,
      'call.body.json.a == 1': 'error',
      'has(call.body.json)': false,
      'destination.data == "public"': 'error',
      'has(destination.data)': false,
      'call.segments[0] == "a"': 'error',
      // As CEL has it: what decides by itself, decides.
      'task.intent == "x" || true': true,
      'true || task.intent == "x"': true,
      'task.intent == "x" && false': false,
      'task.intent == "x" || false': 'error',
      '!(task.intent == "x")': 'error',
      'has(task.intent) && task.intent == "x"': false,
      'task.intent == "x" ? true : true': 'error',
    },
  )
  t.end()
})

void t.test('what is repeated is there, and an error to read', (t) => {
  holds(
    t,
    { query: 'a=1&a=1', headers: ['X-A', '1', 'x-a', '1'] },
    {
      'call.query.a == "1"': 'error',
      'has(call.query.a)': true,
      '"a" in call.query': true,
      'call.queryAll.a == ["1", "1"]': true,
      'call.headers["x-a"] == "1"': 'error',
      '"x-a" in call.headers': true,
      'call.headersAll["x-a"].all(v, v == "1")': true,
      'call.headers["X-A"] == "1"': 'error',
      'call.query.size() == 1': true,
    },
  )
  t.end()
})

void t.test('R77: an amount cannot be written so that a limit does not see it', (t) => {
  const over = 'call.tool.arguments.amount > 100'
  const within = 'call.tool.arguments.amount <= 100'
  const cases: [amount: unknown, over: boolean | 'error'][] = [
    [101, true],
    [100, false],
    [100.5, true],
    [1e2, false],
    [1.01e2, true],
    [-0, false],
    [Number.MAX_SAFE_INTEGER, true],
    [Infinity, true],
    [NaN, 'error'],
    ['101', 'error'],
    ['1', 'error'],
    [null, 'error'],
    [true, 'error'],
    [[101], 'error'],
    [{ valueOf: 101 }, 'error'],
  ]
  for (const [amount, expected] of cases) {
    const call = toolCall({ amount })
    t.equal(judge(over, call), expected, String(amount))
    t.equal(judge(within, call), expected === 'error' ? 'error' : !expected, String(amount))
  }
  t.equal(judge(over, toolCall({})), 'error')
  t.equal(judge(over, toolCall(undefined)), 'error')
  t.equal(judge('has(call.tool.arguments.amount)', toolCall(undefined)), false)
  holds(t, toolCall({ amount: 60, fee: 0.5 }), {
    'call.tool.arguments.amount * 2 > 100': true,
    'call.tool.arguments.amount + call.tool.arguments.fee == 60.5': true,
    'int(call.tool.arguments.amount) == 60': true,
    'call.tool.arguments.amount in [59, 60]': true,
    'call.tool.arguments.amount / 0 > 1': 'error',
    'call.tool.arguments.amount % 7 == 4': true,
  })
  t.end()
})

void t.test('values of different types are neither equal nor unequal', (t) => {
  holds(t, toolCall({ team: ['SECRET'], id: '7', none: null, list: [1, 'a'] }), {
    'call.tool.arguments.team != "SECRET"': 'error',
    'call.tool.arguments.team == "SECRET"': 'error',
    'call.tool.arguments.id == 7': 'error',
    'call.tool.arguments.id in [7, 8]': 'error',
    '!(call.tool.arguments.id in [7])': 'error',
    'call.tool.arguments.none == null': true,
    'call.tool.arguments.id != null': true,
    '"a" in call.tool.arguments.list': true,
    '"b" in call.tool.arguments.list': 'error',
    'call.tool.arguments.list == [1]': false,
  })
  t.end()
})

void t.test('an object sent in the place of a list is no list', (t) => {
  holds(t, toolCall({ items: {}, text: 'abc' }), {
    'call.tool.arguments.items.all(i, i < 10)': 'error',
    'call.tool.arguments.text.all(i, i != "x")': 'error',
    'call.tool.arguments.items.size() == 0': true,
    'task.labels.all(k, k != "x")': 'error',
  })
  t.equal(judge('task.labels.all(k, k != "x")', { task: { labels: { y: 'x' } } }), true)
  t.end()
})

void t.test('names of JSON that objects have by themselves are absent', (t) => {
  const call = toolCall(JSON.parse('{"constructor": 1, "a": {}}'))
  holds(t, call, {
    'call.tool.arguments.constructor == 1': true,
    'has(call.tool.arguments.toString)': false,
    'call.tool.arguments.a.hasOwnProperty == 1': 'error',
    '"valueOf" in call.tool.arguments.a': false,
    'call.tool.arguments["__proto__"] == null': 'error',
  })
  t.end()
})

void t.test('texts become numbers only where they are written as such', (t) => {
  for (const text of ['nan', 'inf', '0x65', '101 ', '', '1_000', '1e999', '+101', '١٠١'])
    t.equal(
      judge('double(call.tool.arguments.amount) <= 100.0', toolCall({ amount: text })),
      'error',
      text,
    )
  t.equal(judge('double(call.tool.arguments.amount) > 100.0', toolCall({ amount: '1.01e2' })), true)
  t.equal(judge('int(call.query.n) > 100', { query: 'n=101' }), true)
  t.equal(judge('int(call.query.n) > 100', { query: 'n=1e3' }), 'error')
  t.end()
})

void t.test('a path is asked about in every reading', (t) => {
  const first = 'call.segments[0] == "admin"'
  const starts = 'call.path.startsWith("/admin/")'
  const cases: [path: string, first: boolean | 'error', starts: boolean | 'error'][] = [
    ['/admin/x', true, true],
    ['/other/x', false, false],
    ['/%61dmin/x', true, true],
    ['/admin%2fx', 'error', true],
    ['/admin;p=1/x', 'error', 'error'],
    ['/%2561dmin/x', 'error', 'error'],
    ['//admin/x', 'error', 'error'],
    ['/admin/', true, 'error'],
    ['/admin%2Fx;y/', 'error', true],
  ]
  for (const [path, isFirst, startsSo] of cases) {
    t.equal(judge(first, { path }), isFirst, `${first} ${path}`)
    t.equal(judge(starts, { path }), startsSo, `${starts} ${path}`)
    // Who asks for nothing of a path does not mind how it is read.
    t.equal(judge('call.port == 443', { path }), true)
  }
  t.end()
})

void t.test('a query is asked about in every reading', (t) => {
  for (const [query, expected] of [
    ['to=bob', true],
    ['to=eve', false],
    ['to=b%6fb', true],
    ['to=%2562ob', 'error'],
    ['x=1;to=bob', 'error'],
    ['to=bob;to=eve', 'error'],
    ['to=bob&to=bob', 'error'],
    ['to=%zz', 'error'],
    ['t%6f=bob', true],
    ['to=bob+', false],
    ['x=a+b&to=bob', true],
  ] as const)
    t.equal(judge('call.query.to == "bob"', { query }), expected, query)
  t.equal(judge('call.query.q == "a b"', { query: 'q=a+b' }), 'error')
  t.equal(judge('call.query.q == "a b"', { query: 'q=a%20b' }), true)
  t.end()
})

void t.test('a method in lower case is asked about as both', (t) => {
  t.equal(judge('call.method == "DELETE"', { method: 'delete' }), 'error')
  t.equal(judge('call.method == "DELETE"', { method: 'DELETE' }), true)
  t.equal(judge('call.method == "DELETE"', { method: 'GET' }), false)
  t.end()
})

void t.test('a target with too many readings is an error', (t) => {
  const call = { path: '/a%252fb%2f;c//d/', query: 'a=1;b=%2525+x;c', method: 'get' }
  const text = 'call.path != "" && call.query.size() >= 0 && call.method != ""'
  t.equal(judge(text, call), 'error')
  t.equal(judge(text, { path: '/a', query: 'a=1' }), true)
  t.end()
})

void t.test('the clock is that of the zone that is named, in summer and in winter', (t) => {
  for (const [now, hour, minute, day] of [
    ['2026-03-29T00:59:59Z', 1, 59, 0],
    ['2026-03-29T01:00:00Z', 3, 0, 0],
    ['2026-10-25T00:30:00Z', 2, 30, 0],
    ['2026-10-25T01:30:00Z', 2, 30, 0],
    ['2026-12-31T23:30:00Z', 0, 30, 5],
    ['2028-02-28T23:30:00Z', 0, 30, 2],
  ] as const) {
    const zone = '("Europe/Berlin")'
    const text = `now.getHours${zone} == ${hour} && now.getMinutes${zone} == ${minute} && now.getDayOfWeek${zone} == ${day}`
    t.equal(judge(text, { now }), true, now)
  }
  holds(
    t,
    { now: '2028-02-29T12:34:56.789Z' },
    {
      'now.getFullYear() == 2028 && now.getMonth() == 1 && now.getDate() == 29': true,
      'now.getDayOfMonth() == 28 && now.getDayOfYear() == 59': true,
      'now.getSeconds() == 56 && now.getMilliseconds() == 789': true,
      'now.getMilliseconds("Asia/Kathmandu") == 789 && now.getMinutes("Asia/Kathmandu") == 19': true,
      'now - timestamp("2028-02-28T12:34:56.789Z") == duration("24h")': true,
      'now + duration("1h30m") > timestamp("2028-02-29T14:00:00Z")': true,
      'duration("90m").getHours() == 1 && duration("90m").getMinutes() == 90': true,
    },
  )
  t.end()
})

void t.test('texts are tested by pattern, address and case', (t) => {
  holds(
    t,
    { host: '10.1.2.3', path: '/Acme/x', headers: ['A', 'x@example.com'] },
    {
      'cidr(call.host, "10.0.0.0/8")': true,
      'cidr(call.host, "192.168.0.0/16")': false,
      'cidr(call.path, "10.0.0.0/8")': 'error',
      'glob(call.path, "/*/x")': true,
      'glob(call.path, "/acme*")': false,
      're2(call.path, "cme")': true,
      're2(call.path, "^cme")': false,
      're2(call.headers["a"], "^[a-z]+@example[.]com$")': true,
      'call.path.lowerAscii().startsWith("/acme")': true,
      'call.path.split("/").size() == 3': true,
      'call.segments.join("-") == "Acme-x"': true,
      'call.path.substring(1, 5) == "Acme" && call.path.contains("cm")': true,
      'size(call.path) == 7 && string(call.port) == "443"': true,
      'call.path.substring(1, 50) == ""': 'error',
    },
  )
  t.equal(judge('size(call.tool.arguments.s) == 2', toolCall({ s: '😀a' })), true)
  t.end()
})

void t.test('each clause is told with its text and its value', (t) => {
  t.same(
    explain('!(task.environment == "prod") && (call.port == 443 || task.intent == ")")', {
      task: { environment: 'dev' },
    }),
    [
      { clause: '!(task.environment == "prod")', value: 'true' },
      { clause: 'task.environment == "prod"', value: 'false' },
      { clause: 'call.port == 443 || task.intent == ")"', value: 'true' },
      { clause: 'call.port == 443', value: 'true' },
      { clause: 'task.intent == ")"', value: 'error: `task.intent` is not known' },
    ],
  )
  t.same(explain('call.method == "GET"'), [{ clause: 'call.method == "GET"', value: 'true' }])
  t.end()
})
