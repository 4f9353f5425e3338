// Proves the client against the listener it is for: over a unix socket, TCP and TLS, each call, refusals, records as they
// come.

import { writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

import t from 'tap'

import { ControlClient, ControlProblem, type WrittenTask } from '../../../src/control/client.ts'
import { makePki } from '../../fixtures/pki.ts'
import { portOf } from '../../fixtures/port.ts'
import { startControl, tokenOf } from './support.ts'

const TASK: WrittenTask = {
  intent: 'Triage the open issues.',
  owner: { name: 'on-call', team: 'payments' },
  agent: { account: 'bot', instance: 'bot/1' },
  sandbox: { id: 'box' },
  rules: ['open-set'],
  environment: 'test',
  ceiling: 'internal',
  expires: '30m',
}

for (const unix of [true, false])
  void t.test(`every call, over ${unix ? 'a unix socket' : 'TCP'}`, async (t) => {
    const control = await startControl(t, { unix })
    const token = unix ? undefined : tokenOf('administrator')
    const client = new ControlClient({ address: control.address, token })
    const made = await client.createTask(TASK, 'key-1')
    t.match(made, { id: /^t_/, token: String, proxy: /^http:/, task: { state: 'active' } })
    t.equal((await client.createTask(TASK, 'key-1')).id, made.id)
    const child = await client.createChild(made.id, TASK)
    t.equal(child.task.parent, made.id)
    t.strictSame(
      (await client.listTasks({ state: 'active' })).tasks.map(({ id }) => id),
      [made.id, child.id],
    )
    t.equal((await client.showTask(made.id)).id, made.id)
    t.match(await client.extendTask(made.id, '1h'), { expiresAt: /T13:00/ })
    t.match(await client.suspendTask(made.id, 'lunch'), { state: 'suspended' })
    t.match(await client.resumeTask(made.id), { state: 'active' })
    t.match(await client.sendHeartbeat(made.id), { state: 'active' })
    t.match(await client.attestTask(made.id, { image: 'sha256:1' }), { state: 'active' })
    t.match(await client.showEnvironment(made.id), { env: { API_TOKEN: String } })
    t.match(await client.showRules(), [{ name: 'open-set' }, {}])
    t.match(await client.reloadRules(), { inForce: true })
    t.match(await client.listCredentials(), [{ name: 'api' }])
    const { kill } = await client.kill('owner', 'on-call', 'left')
    t.match(await client.listKills(), [{ id: kill.id, reason: 'left' }])
    t.equal((await client.liftKill(kill.id)).id, kill.id)
    t.match(await client.setOwner('on/call', true), { disabled: true })
    t.strictSame(await client.listDisabledOwners(), ['on/call'])
    t.match(await client.showInventory(), { tasks: 2 })
    t.match(await client.listKeys(), [{ kid: 'kid' }])
    control.call({ n: 1 })
    t.strictSame(await client.listCalls({ limit: 5 }), [{ n: 1 }])
    t.match(await client.revokeTask(made.id, 'done'), { complete: true, reason: 'done' })
  })

void t.test('records come as they are written, until the reader has seen enough', async (t) => {
  const control = await startControl(t, { unix: true })
  const client = new ControlClient({ address: control.address })
  control.call({ n: 0 })
  const seen: object[] = []
  const enough = new AbortController()
  const timer = setInterval(() => {
    if (control.followers() > 0) control.call({ n: seen.length + 1, text: 'ä\n\n' })
  }, 20)
  for await (const record of client.followCalls({}, enough.signal)) {
    seen.push(record)
    if (seen.length === 3) break
  }
  clearInterval(timer)
  t.match(seen, [{ n: 1 }, {}, { text: 'ä\n\n' }])
  const deadline = Date.now() + 5000
  while (control.followers() > 0 && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(control.followers(), 0, 'nobody follows any more')
})

void t.test('a refusal says what is wrong; a stranger that answers is told from it', async (t) => {
  const control = await startControl(t)
  const { address } = control
  const client = new ControlClient({ address, token: tokenOf('administrator') })
  const refused = await client
    .createTask({ ...TASK, expires: 'soon' })
    .catch((error: unknown) => error)
  t.ok(refused instanceof ControlProblem)
  t.match(refused, {
    message: /^definition-invalid: expected a duration.*\(\/expires\)/,
    problem: { status: 400, field: '/expires' },
  })
  const unknown = new ControlClient({ address, token: 'wrong-token-0123456789' })
  await t.rejects(unknown.showRules(), /principal-unknown/)
  await t.rejects(new ControlClient({ address: 'unix:/absent/control.sock' }).showRules(), /ENOENT/)
  for (const wrong of [
    '',
    'localhost:x',
    'ftp://127.0.0.1:1',
    'http://a.test/path',
    'http://u@a.test',
  ])
    t.throws(() => new ControlClient({ address: wrong }), /is no address/, wrong)

  const other = net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end('HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\n<ht>')
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  t.teardown(() => other.close())
  const stranger = new ControlClient({ address: `127.0.0.1:${portOf(other)}` })
  await t.rejects(stranger.showRules(), /status 502/)
  const silent = net.createServer()
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const patient = new ControlClient({ address: `127.0.0.1:${portOf(silent)}`, timeoutMs: 200 })
  await t.rejects(patient.showRules(), /does not answer/)
})

void t.test('over TLS the listener proves itself', async (t) => {
  const pki = makePki()
  const { certPem, keyPem } = pki.issue({ names: ['control.test'], ips: ['127.0.0.1'] })
  const files = await startControl(t)
  const file = (name: string, text: string): string => {
    const at = path.join(files.directory, name)
    writeFileSync(at, text)
    return at
  }
  const tls = {
    certFile: file('cert.pem', certPem),
    keyFile: file('key.pem', keyPem),
    clientCaFile: undefined,
  }
  const control = await startControl(t, { tls })
  const token = tokenOf('administrator')
  const address = `https://${control.address}`
  const client = new ControlClient({ address, token, tls: { ca: pki.caPem } })
  t.equal((await client.showRules()).length, 2)
  const named = { ca: pki.caPem, serverName: 'control.test' }
  t.equal((await new ControlClient({ address, token, tls: named }).showRules()).length, 2)
  await t.rejects(new ControlClient({ address, token, tls: { ca: makePki().caPem } }).showRules())
  await t.rejects(new ControlClient({ address: control.address, token }).showRules(), 'without TLS')
})
