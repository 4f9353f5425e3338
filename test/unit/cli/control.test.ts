// Proves the verbs that speak to a running sidecar: what they print, their exit codes, and how they find it.

import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { DEFINITION } from '../../fixtures/control.ts'
import { startControl, tokenOf, type Control } from '../control/support.ts'
import { run, type Ran } from './support.ts'

function verbs(control: Control): (...words: readonly string[]) => Promise<Ran> {
  return (...words) => run([...words, '--control', control.address])
}

function definitionFile(control: Control, more: Readonly<Record<string, unknown>> = {}): string {
  const file = path.join(control.directory, 'task.json')
  writeFileSync(file, JSON.stringify({ ...DEFINITION, ...more }, undefined, 2))
  return file
}

void t.test('a task is made, listed, shown, changed and ended', async (t) => {
  const control = await startControl(t, { unix: true })
  const sallyport = verbs(control)
  const made = await sallyport('task', 'create', '--file', definitionFile(control))
  const id = /# task (t_\S+)/.exec(made.out)?.[1] ?? ''
  t.match(made, { code: 0, err: '' })
  t.match(made.out, `# proxy http://${id}:secret-of-${id}@127.0.0.1:3128\n`)
  t.match(made.out, "export SSL_CERT_FILE='/certs/ca-bundle.crt'\n")
  t.match(await sallyport('task', 'list'), { code: 0, out: `${id} active until` })
  t.match(await sallyport('task', 'list', '--state', 'ended'), { code: 0, out: /^$/ })
  t.match(await sallyport('task', 'show', id), { code: 0, out: /^id +t_.*\nstate +active/ })
  t.match(await sallyport('task', 'extend', id, '1h'), {
    code: 0,
    out: /expires +2027-01-31T13:00/,
  })
  t.match(await sallyport('task', 'suspend', id, '--reason', 'lunch'), {
    code: 0,
    out: /suspended/,
  })
  t.match(await sallyport('task', 'resume', id), { code: 0, out: /active/ })
  t.match(await sallyport('task', 'revoke', id, '--reason', 'done'), {
    code: 0,
    out: /^complete: t_.* ended .*\n {2}calls calls {2}ended {2}2\n$/,
  })
  const { code, err } = await sallyport('task', 'resume', id)
  t.equal(code, 1)
  t.match(err, /^task-ended: .*\n {2}Stop\./)
})

void t.test('--json prints what the API answers', async (t) => {
  const control = await startControl(t, { unix: true })
  const json = async (...words: readonly string[]): Promise<unknown> => {
    const { code, out } = await verbs(control)(...words, '--json')
    t.equal(code, 0, words.join(' '))
    const value: unknown = JSON.parse(out)
    return value
  }
  const made = await json('task', 'create', '--file', definitionFile(control))
  t.match(made, { id: /^t_/, token: String, task: { state: 'active' } })
  t.match(await json('task', 'list'), { tasks: [{ state: 'active' }] })
  t.match(await json('kill', '--all'), { kill: { id: 'k_0', scope: 'all' }, cut: 3 })
  t.match(await json('kill', '--list'), { kills: [{ id: 'k_0' }] })
  t.match(await json('kill', '--lift', 'k_0'), { id: 'k_0' })
  t.match(await json('rules', 'reload'), { inForce: true, changed: true, problems: [] })
  const refused = await verbs(control)('kill', '--lift', 'k_9', '--json')
  t.equal(refused.code, 1)
  t.match(JSON.parse(refused.out), { reason: 'not-found', status: 404 })
})

void t.test('a definition that is refused is told by the place in its file', async (t) => {
  const control = await startControl(t, { unix: true })
  const file = path.join(control.directory, 'task.yaml')
  const text = Object.entries(DEFINITION).map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
  writeFileSync(file, text.join('\n').replace('"30m"', 'soon'))
  const { code, err } = await verbs(control)('task', 'create', '--file', file)
  t.equal(code, 1)
  t.match(err, new RegExp(`^${file}:8:10: /expires: definition-invalid: expected a duration`))
  writeFileSync(file, 'a: [')
  t.match(await verbs(control)('task', 'create', '--file', file), { code: 2 })
  writeFileSync(file, '')
  t.match(await verbs(control)('task', 'create', '--file', file), { code: 1 })
  t.match(await verbs(control)('task', 'create', '--file', `${file}.absent`), { code: 2 })
  t.match(await verbs(control)('task', 'create'), { code: 2, err: /--file/ })
  t.equal([...control.parts.tasks.list()].length, 0)
})

void t.test('the kill switch takes exactly one thing to end', async (t) => {
  const control = await startControl(t, { unix: true })
  const sallyport = verbs(control)
  for (const words of [
    ['--host', 'api.test'],
    ['--credential', 'github'],
    ['--tool', 'mcp.test/delete_issue'],
    ['--agent', 'bot'],
    ['--owner', 'on-call'],
    ['--all'],
  ])
    t.match(await sallyport('kill', ...words, '--reason', 'leak'), {
      code: 0,
      out: /^k_\d \w+.* by administrator at .*: leak\n0 tasks ended, 3 calls cut\n$/,
    })
  t.match(await sallyport('kill', '--list'), { code: 0, out: /^(k_\d .*\n){6}$/ })
  t.match(await sallyport('kill', '--lift', 'k_0'), { code: 0, out: /^lifted k_0 host api.test/ })
  t.match(await sallyport('kill', '--lift', 'k_0'), { code: 1, err: /^\/id: not-found/ })
  for (const words of [
    [],
    ['--all', '--host', 'a'],
    ['--tool', 'x', '--host', 'a'],
    ['--list', '--lift', 'x'],
    ['--reason', 'x'],
  ])
    t.match(
      await sallyport('kill', ...words),
      { code: 2, err: /kill needs one of/ },
      words.join(' '),
    )
  t.match(await sallyport('rules', 'reload'), { code: 0, out: 'changed rules are in force\n' })
})

void t.test('a stranger’s text moves no cursor', async (t) => {
  const control = await startControl(t, { unix: true })
  const file = definitionFile(control, { intent: 'a\u202eb\tc', owner: { name: 'x', team: 'y' } })
  await verbs(control)('task', 'create', '--file', file)
  const { out } = await verbs(control)('task', 'list')
  t.match(out, String.raw`a\u{202e}b c`)
})

void t.test(
  'the sidecar is found by flag, variable or configuration, and its token so too',
  async (t) => {
    const control = await startControl(t)
    const tokenFile = path.join(control.directory, 'administrator.token')
    const token = tokenOf('administrator')
    const { address } = control
    const list = ['task', 'list']
    t.equal(
      (await run([...list, '--control', address], { SALLYPORT_CONTROL_TOKEN: token })).code,
      0,
    )
    const byFile = { SALLYPORT_CONTROL: address, SALLYPORT_CONTROL_TOKEN_FILE: tokenFile }
    t.equal((await run(list, byFile)).code, 0)
    const config = path.join(control.directory, 'sallyport.yaml')
    writeFileSync(config, `control: { listen: '${address}', tokenFile: administrator.token }\n`)
    t.equal((await run([...list, '--config', config])).code, 0)
    t.equal((await run([...list, '--config', config, '--control', address])).code, 0)
    const wrong = { SALLYPORT_CONTROL: address, SALLYPORT_CONTROL_TOKEN: 'wrong-token-0123456789' }
    t.match(await run(list, wrong), { code: 1, err: /^principal-unknown/ })
    t.match(await run(list, { ...byFile, SALLYPORT_CONTROL_TOKEN_FILE: '/absent' }), { code: 2 })
    t.match(
      await run([...list, '--control', 'ftp://127.0.0.1:1'], { SALLYPORT_CONTROL_TOKEN: token }),
      {
        code: 2,
        err: /is no address/,
      },
    )
    const plain = ['--control', '192.0.2.1:9']
    t.match(await run([...list, ...plain], { SALLYPORT_CONTROL_TOKEN: token }), {
      code: 2,
      err: /beyond this machine: write https/,
    })
    t.match(await run([...list, '--control', 'unix:/absent/x.sock']), {
      code: 1,
      err: /does not answer/,
    })
  },
)

void t.test('a configuration of nothing leads to its own socket', async (t) => {
  const control = await startControl(t, { unix: true })
  mkdirSync(path.join(control.directory, 'state'))
  renameSync(
    control.address.slice('unix:'.length),
    path.join(control.directory, 'state/control.sock'),
  )
  const config = path.join(control.directory, 'sallyport.yaml')
  writeFileSync(config, '')
  t.match(await run(['task', 'list', '--config', config]), { code: 0, out: '' })
})

void t.test('env asks for the variables of a task that is not the static one', async (t) => {
  const control = await startControl(t, { unix: true })
  const { parts } = control
  const made = await verbs(control)('task', 'create', '--file', definitionFile(control), '--json')
  const { id }: { id: string } = JSON.parse(made.out)
  const environmentFor = parts.environmentFor.bind(parts)
  Object.assign(parts, {
    environmentFor: (taskId: string, token: string | undefined) => ({
      ...environmentFor(taskId, token),
      env: { HTTP_PROXY: 'http://127.0.0.1:3128', SSL_CERT_FILE: '/x' },
    }),
  })
  const words = ['env', '--task', id, '--control', control.address]
  const without = await run(words)
  t.match(without, { code: 0, out: /^# the proxy URLs hold no token.*SALLYPORT_TASK_TOKEN/ })
  t.match(without.out, "export HTTP_PROXY='http://127.0.0.1:3128'\n")
  const withToken = await run(words, { SALLYPORT_TASK_TOKEN: 'shown-once' })
  t.equal(
    withToken.out,
    `export HTTP_PROXY='http://${id}:shown-once@127.0.0.1:3128'\nexport SSL_CERT_FILE='/x'\n`,
  )
  const json = await run([...words, '--shell', 'json'])
  t.match(JSON.parse(json.out), { SSL_CERT_FILE: '/x' })
  t.match(json.err, /hold no token/)
  t.match(await run(['env', '--task', 't_x', '--control', control.address]), { code: 1 })
})
