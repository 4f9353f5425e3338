// `npm run demo`: the story in under a minute and without a network. A local upstream, a sidecar, a client that holds no
// secret: one allowed call with an injected credential, one refused call with its explanation, the records of both, the end
// of the task, a bundle for an auditor, and the chain verified. Everything runs in a temporary directory and is gone afterwards.

import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

import { makePki } from '../fixtures/pki.ts'
import { freePort, portOf } from '../fixtures/port.ts'

const execute = promisify(execFile)
const SECRET = 'the-real-token-that-never-enters-the-sandbox'
const BIN = path.join(import.meta.dirname, '../../bin/sallyport.js')

const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-demo-'))
let sidecar: ChildProcess | undefined
let upstream: https.Server | undefined
try {
  await story()
} finally {
  sidecar?.kill('SIGKILL')
  upstream?.close()
  rmSync(directory, { recursive: true, force: true })
}

async function story(): Promise<void> {
  say('1. An upstream on loopback that wants a token')
  const pki = makePki()
  const port = await startUpstream(pki.issue({ names: ['api.demo.test'] }))
  say(`   https://api.demo.test:${port}\n`)

  say('2. A sidecar for one task: it may read /issues, and nothing else')
  await startSidecar(port, pki.caPem)
  const env: Record<string, string> = JSON.parse(sallyport('env', '--shell', 'json'))
  say(
    `   the sandbox gets ${Object.keys(env).length} variables, among them API_TOKEN=${env['API_TOKEN']}\n`,
  )

  say('3. An allowed call: the client sends the placeholder, the upstream sees the real token')
  show(await curl(env, `https://api.demo.test:${port}/issues`))
  say(
    '4. A refused call: no rule allows it, and the answer says so in words that a model can act on',
  )
  show(await curl(env, '-X', 'DELETE', `https://api.demo.test:${port}/issues`))

  say('5. Both are on record')
  show(sallyport('tail'))
  say('6. The task ends, and the receipt says of each item that it did')
  const task = /t_[0-9a-z]+/.exec(sallyport('tail', '--verdict', 'allow'))?.[0] ?? ''
  show(sallyport('task', 'revoke', task, '--reason', 'done'))
  say('7. One file for an auditor: all of it, checked with the public key alone')
  const bundle = path.join(directory, 'evidence.tar')
  show(sallyport('evidence', task, '--out', bundle))
  show(sallyport('verify', bundle))
  say('8. And nobody has touched the records')
  await stopSidecar()
  show(sallyport('verify', path.join(directory, 'journal')))
}

async function stopSidecar(): Promise<void> {
  const ended = once(sidecar!, 'exit')
  sidecar!.kill()
  await ended
}

function startUpstream({ certPem, keyPem }: { certPem: string; keyPem: string }): Promise<number> {
  const server = https.createServer({ cert: certPem, key: keyPem }, (request, response) => {
    const held = request.headers.authorization === `Bearer ${SECRET}`
    response.writeHead(held ? 200 : 401, { 'Content-Type': 'application/json' })
    response.end(held ? '[{"id":7,"title":"It works"}]\n' : '{"error":"no valid token"}\n')
  })
  upstream = server
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(portOf(server)))
  })
}

async function startSidecar(upstreamPort: number, upstreamCa: string): Promise<void> {
  const [proxy, health] = [await freePort(), await freePort()]
  mkdirSync(path.join(directory, 'rules'))
  writeFileSync(path.join(directory, 'upstream.pem'), upstreamCa)
  writeFileSync(
    path.join(directory, 'rules/demo.yaml'),
    `ruleset: demo
owner: demo@example.com
rules:
  - id: read-issues
    allow: https://api.demo.test:${upstreamPort}
    methods: [GET]
    paths: [/issues]
    addresses: [127.0.0.0/8]
    credential: api
`,
  )
  writeFileSync(
    path.join(directory, 'sallyport.yaml'),
    `listen: { proxy: '127.0.0.1:${proxy}', health: '127.0.0.1:${health}' }
upstream: { ca: [upstream.pem], hosts: { api.demo.test: ['127.0.0.1'] } }
credentials:
  api: { source: { env: DEMO_SECRET }, inject: { bearer: true }, hosts: ['api.demo.test:${upstreamPort}'] }
task:
  intent: Show what Sallyport does
  owner: { name: Demo, team: demo }
  agent: { account: demo, instance: demo/1 }
  sandbox: { id: demo }
  rules: [demo]
  environment: demo
  ceiling: internal
  expires: 10m
`,
  )
  sidecar = spawn(
    process.execPath,
    [BIN, 'start', '--config', path.join(directory, 'sallyport.yaml')],
    {
      env: { ...process.env, DEMO_SECRET: SECRET },
      stdio: 'ignore',
    },
  )
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const ready = await fetch(`http://127.0.0.1:${health}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (ready) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the sidecar did not get ready')
}

function sallyport(...words: string[]): string {
  const run = spawnSync(
    process.execPath,
    [BIN, ...words, '--config', path.join(directory, 'sallyport.yaml')],
    {
      encoding: 'utf8',
      env: { ...process.env, ...(process.stdout.isTTY && { FORCE_COLOR: '1' }) },
    },
  )
  if (run.status !== 0) throw new Error(`sallyport ${words.join(' ')}: ${run.stdout}${run.stderr}`)
  return run.stdout
}

// The client gets the variables of `sallyport env` and no others: the real token is nowhere in its environment.
// Not synchronous: the upstream lives in this process.
async function curl(env: Record<string, string>, ...words: string[]): Promise<string> {
  const authorization = `Authorization: Bearer ${env['API_TOKEN']}`
  const { stdout, stderr } = await execute(
    'curl',
    ['-sS', '--max-time', '10', '-H', authorization, ...words],
    {
      env: { PATH: process.env['PATH'] ?? '', ...env },
    },
  )
  return stdout + stderr
}

function say(text: string): void {
  console.log(text)
}

function show(text: string): void {
  console.log(`${text.trimEnd().replaceAll(/^/gm, '   ')}\n`)
}
