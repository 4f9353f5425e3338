// `sallyport run --prove`: the doctor inside finds nothing open in the sandbox that `run` makes, and the command follows. The
// doctor's addresses are tried within that sandbox alone, from which nothing leads out.

import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { mayMakeNamespaces } from '../fixtures/namespaces.ts'

const BIN = path.join(import.meta.dirname, '../../bin/sallyport.js')
const skip = (await mayMakeNamespaces()) ? false : 'no user namespaces may be made here'
const CONFIGURATION = `task:
  intent: e2e
  owner: { name: Test Owner, team: test }
  agent: { account: agent, instance: agent/1 }
  sandbox: { id: box }
  rules: [set]
  environment: test
  ceiling: confidential
  expires: 30m
`

void t.test(
  'R45: run --prove proves its own sandbox, then runs the command',
  { skip },
  async (t) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-e2e-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const work = path.join(directory, 'work')
    mkdirSync(work)
    const file = path.join(directory, 'sallyport.yaml')
    writeFileSync(file, CONFIGURATION)
    mkdirSync(path.join(directory, 'rules'))
    writeFileSync(
      path.join(directory, 'rules/set.yaml'),
      'ruleset: set\nowner: a@example.com\nrules: []\n',
    )
    const again = '"$0" "$1" doctor --inside; echo "it ended with $?"; exit 7'
    const command = ['sh', '-c', again, process.execPath, BIN]
    const words = ['run', '--config', file, '--prove', '--', ...command]
    // The test runner puts its hooks into every child; they would be in the program under test.
    const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, BIN, ...words], {
      cwd: work,
      env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, HOME: directory, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
    t.notMatch(stderr, /^fail /m)
    t.match(stdout, /no other way out was found/)
    t.match(stdout, /^ok {3}tcp: HTTP to .*; intercepted$/m)
    t.match(stdout, /^it ended with 0$/m)
    t.equal(stdout.match(/no other way out/g)?.length, 1, 'the proof is no output of the command')
    t.equal(status, 7, stderr)
  },
)
