// Runs a command of the program in this process and keeps what it prints.

import { runCommand } from '../../../src/cli/command.ts'
import type { StartOptions } from '../../../src/cli/start.ts'

/** What a command did. */
export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  /** What the sidecar was started with. */
  readonly started: StartOptions | undefined
}

/** Runs a command line, its words given one by one. */
export async function run(
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  let out = ''
  let err = ''
  let started: StartOptions | undefined
  const io = {
    out: (text: string): void => void (out += text),
    err: (text: string): void => void (err += text),
    environment,
    color: false,
    signal: AbortSignal.timeout(10_000),
    version: '1.2.3',
  }
  const code = await runCommand(words, io, (options) => {
    started = options
    return Promise.resolve(0)
  })
  return { code, out, err, started }
}

/** A rule set of one rule. */
export const RULES = `ruleset: widgets
params:
  repo: { pattern: '[\\w.-]+/[\\w.-]+' }
rules:
  - id: no-secrets
    deny: https://api.test
    paths: ['/repos/*/*/secrets/**']
  - id: read
    allow: https://api.test
    methods: [GET]
    paths: ['/repos/{repo}/**']
    credential: api
  - id: traced
    allow: https://api.test
    methods: [POST]
    paths: [/log]
    headers: { x-trace: 'a*' }
tests:
  - call: GET https://api.test/repos/acme/widgets/issues
    params: { repo: acme/widgets }
    expect: allow read
  - call: POST https://api.test/repos/acme/widgets/issues
    params: { repo: acme/widgets }
    expect: deny path-not-allowed
`

/** A configuration whose task uses it. */
export const CONFIGURATION = `credentials:
  api: { source: { env: API_TOKEN }, inject: { bearer: true }, hosts: [api.test] }
task:
  intent: Read issues.
  owner: { name: on-call, team: payments }
  agent: { account: bot, instance: bot/1 }
  sandbox: { id: box }
  rules: [widgets]
  params: { repo: acme/widgets }
  environment: test
  ceiling: internal
  expires: 30m
`
