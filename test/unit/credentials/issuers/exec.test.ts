import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { ProviderError, type Minted, type MintRequest } from '../../../../src/credentials/issuer.ts'
import { ExecIssuer } from '../../../../src/credentials/issuers/exec.ts'
import type { ExecSourceDefinition } from '../../../../src/credentials/source-definition.ts'
import type { Task } from '../../../../src/tasks/task.ts'
import { until } from '../../../fixtures/scenario.ts'
import { taskFor } from '../support.ts'

const NOW = Date.parse('2026-05-01T12:00:00Z')
const LIMITS = { providerTimeoutMs: 20_000, providerAnswerBytesMax: 4096, secretBytesMax: 512 }
// By the shell, and by the test runner to every child of its tests.
const ADDED = /^(?:PWD|SHLVL|OLDPWD|_|NODE_OPTIONS|_TAPJS_\w+)=/
const CANARY = 'canary-0d9b7a426f1c4e'

interface Changes extends Partial<Omit<ExecSourceDefinition, 'kind'>> {
  readonly environment?: Readonly<Record<string, string>>
  readonly limits?: Partial<typeof LIMITS>
}

function issuerOf(
  script: string,
  { environment = {}, limits = {}, ...changes }: Changes = {},
): ExecIssuer {
  const definition: ExecSourceDefinition = {
    kind: 'exec',
    command: ['/bin/sh', '-c', script],
    env: [],
    isStatic: false,
    ...changes,
  }
  return new ExecIssuer(definition, {
    environment: { PATH: process.env['PATH'], ...environment },
    limits: { ...LIMITS, ...limits },
    now: () => NOW,
  })
}

function request(params: Task['params'] = {}, above: readonly Task['params'][] = []): MintRequest {
  return {
    task: taskFor(params),
    above: above.map((one) => taskFor(one)),
    notAfter: NOW + 60_000,
    signal: new AbortController().signal,
  }
}

const print = (value: unknown): string => `cat <<'END'\n${JSON.stringify(value)}\nEND`
const mint = (value: unknown): Promise<Minted> => issuerOf(print(value)).mint(request())

/** Why nothing was minted, after proving that it quotes nothing. */
async function refusal(t: Test, minted: Promise<unknown>): Promise<string> {
  const error: unknown = await minted.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof ProviderError))
    throw new Error('expected a ProviderError', { cause: error })
  t.notMatch(`${error.message}${error.stack}`, /canary/)
  return error.message
}

void t.test('what a program prints becomes a credential', async (t) => {
  t.match(await mint({ value: CANARY, expiresAt: '2026-05-01T13:00:00+01:00', id: 'key/17' }), {
    material: { value: CANARY },
    expiresAt: NOW,
    handle: undefined,
    id: 'key/17',
  })
  t.equal((await mint({ value: CANARY, expiresAt: NOW / 1000 + 9.5 })).expiresAt, NOW + 9500)
  t.equal((await mint({ value: CANARY, expiresAt: String(NOW / 1000) })).expiresAt, NOW)
  t.equal((await mint({ value: CANARY, expiresIn: 90 })).expiresAt, NOW + 90_000)
  t.equal((await mint({ value: CANARY })).expiresAt, undefined)
  t.equal((await mint({ value: CANARY, id: `two words` })).id, undefined, 'no plain word')
  const parts = {
    user: 'robot',
    accessKeyId: 'AKIA1',
    secretAccessKey: 's3cret',
    sessionToken: 'session',
    certificate: '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n',
    key: '-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n',
  }
  t.strictSame((await mint({ ...parts, more: 1 })).material, parts)
})

void t.test('what programs print for `aws` and `kubectl` is understood', async (t) => {
  const aws = {
    Version: 1,
    AccessKeyId: 'AKIA1',
    SecretAccessKey: CANARY,
    SessionToken: 'session',
    Expiration: '2026-05-01T12:30:00Z',
  }
  t.strictSame(await mint(aws), {
    material: { accessKeyId: 'AKIA1', secretAccessKey: CANARY, sessionToken: 'session' },
    expiresAt: NOW + 30 * 60_000,
    handle: undefined,
  })
  const kubernetes = {
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token: CANARY, expirationTimestamp: '2026-05-01T12:10:00Z' },
  }
  t.strictSame(await mint(kubernetes), {
    material: { value: CANARY },
    expiresAt: NOW + 10 * 60_000,
    handle: undefined,
  })
})

void t.test('what is no credential is refused without being quoted', async (t) => {
  const cases: [printed: unknown, why: RegExp][] = [
    [[CANARY], /is no JSON object/],
    [CANARY, /is no JSON object/],
    [null, /is no JSON object/],
    [{}, /it holds no credential/],
    [{ value: '' }, /it holds no credential/],
    [{ value: 17 }, /`value` is no text/],
    [{ value: { canary: 1 } }, /`value` is no text/],
    [{ value: `${CANARY}\r\nX-Evil: 1` }, /`value` has characters that cannot be sent/],
    [{ value: `${CANARY}é` }, /`value` has characters that cannot be sent/],
    [{ value: CANARY.repeat(50) }, /`value` is too long/],
    [{ value: CANARY, certificate: 'canary\n' }, /`certificate` has characters/],
    [{ value: CANARY, expiresAt: 'canary' }, /`expiresAt` is no time/],
    [{ value: CANARY, expiresAt: '' }, /`expiresAt` is no time/],
    [{ value: CANARY, expiresAt: NOW }, /`expiresAt` is no time/],
    [{ value: CANARY, expiresAt: true }, /`expiresAt` is no time/],
    [{ value: CANARY, expiresIn: -1 }, /`expiresIn` is no number of seconds/],
    [{ value: CANARY, expiresIn: 'canary' }, /`expiresIn` is no number of seconds/],
    [{ value: CANARY, expiresIn: 1, expiresAt: 1 }, /are both there/],
    [{ Version: 1, AccessKeyId: 7 }, /`accessKeyId` is no text/],
    [{ kind: 'ExecCredential', status: {} }, /it holds no credential/],
  ]
  for (const [printed, why] of cases)
    t.match(await refusal(t, mint(printed)), why, JSON.stringify(printed))
  t.match(await refusal(t, issuerOf(`echo '{"value":"${CANARY}"'`).mint(request())), /is no JSON/)
  t.match(await refusal(t, issuerOf('true').mint(request())), /is no JSON/)
})

void t.test(
  'a program sees the task and the variables that are named, and nothing else',
  async (t) => {
    const dir = t.testdir({ opened: CANARY })
    const file = join(dir, 'seen')
    const opened = openSync(join(dir, 'opened'), 'r')
    const script = `env -0 > ${file}; ls -l /proc/$$/fd > ${file}.fd; cat > ${file}.in; echo '{"value":"x"}'`
    const environment = { PASSED: 'passed', OWN: CANARY, SALLYPORT_STATE: CANARY, HOME: '/x' }
    const issuer = issuerOf(script, { env: ['PASSED'], environment })
    await issuer.mint(request({ repo: 'acme/web', 'a-b': "'$(id)'\n`id`" }))
    const text = readFileSync(file, 'utf8')
    // By their ends: a value may have lines of its own.
    const variables = text.split('\0').filter((one) => one !== '' && !ADDED.test(one))
    t.strictSame(
      variables.toSorted(),
      [
        "SALLYPORT_PARAM_A_B='$(id)'\n`id`",
        `PATH=${process.env['PATH']}`,
        'PASSED=passed',
        'SALLYPORT_AGENT=bot',
        'SALLYPORT_NOT_AFTER=2026-05-01T12:01:00.000Z',
        'SALLYPORT_OWNER=ann',
        'SALLYPORT_PARAM_REPO=acme/web',
        `SALLYPORT_TASK=${taskFor({}).id}`,
        'SALLYPORT_TEAM=web',
      ].toSorted(),
    )
    t.equal(readFileSync(`${file}.in`, 'utf8'), '', 'stdin is at its end')
    t.notMatch(readFileSync(`${file}.fd`, 'utf8'), /opened/, 'no descriptor of ours')
    closeSync(opened)
    const unset = issuerOf('echo {}', { env: ['UNSET'] }).mint(request())
    t.equal(await refusal(t, unset), 'the variable `UNSET` is not set')
  },
)

void t.test(
  'R20: a task below another is given what the root task says, never its own',
  async (t) => {
    const script = `printf '{"value":"%s","user":"%s"}' "$SALLYPORT_PARAM_REPO" "\${SALLYPORT_PARAM_MORE-none}"`
    const issuer = issuerOf(script)
    const given = async (...asked: Parameters<typeof request>): Promise<unknown> =>
      (await issuer.mint(request(...asked))).material
    t.strictSame(await given({ repo: 'one' }), { value: 'one', user: 'none' })
    t.strictSame(await given({ repo: 'one' }, [{ repo: 'one' }]), { value: 'one', user: 'none' })
    t.strictSame(await given({}, [{}, { repo: 'one' }]), { value: 'one', user: 'none' })
    t.strictSame(await given({ repo: 'one', more: 'x' }, [{ repo: 'one' }]), {
      value: 'one',
      user: 'none',
    })
    for (const above of [
      [{ repo: 'two' }],
      [{}, { repo: 'two' }],
      [{ repo: 'one' }, { repo: 'two' }],
    ])
      t.equal(
        await refusal(t, issuer.mint(request({ repo: 'one' }, above))),
        'it would be wider than that of a task above',
      )
    const { task, ...rest } = request({ repo: 'one' })
    for (const other of [
      { owner: { name: 'bob', team: 'web' } },
      { owner: { name: 'ann', team: 'ops' } },
      { principal: 'eve' },
    ])
      t.equal(
        await refusal(t, issuer.mint({ ...rest, task, above: [{ ...task, ...other }] })),
        'it would be wider than that of a task above',
      )
    const twice = issuer.mint(request({ 'a-b': '1', a_b: '2' }))
    t.equal(await refusal(t, twice), 'two params have one variable')
    const nul = await refusal(t, issuer.mint(request({ repo: 'canary\0' })))
    t.match(nul, /^the program cannot be run/)
  },
)

void t.test('a program that fails, prints too much, or cannot be run', async (t) => {
  const failing = issuerOf(`echo ${CANARY} >&2; echo '{"value":"${CANARY}"}'; exit 3`)
  t.equal(await refusal(t, failing.mint(request())), 'the program: exit code 3')
  const killed = issuerOf('kill -9 $$').mint(request())
  t.equal(await refusal(t, killed), 'the program was ended by a signal')
  const missing = issuerOf('', { command: ['/nowhere/canary'] }).mint(request())
  t.equal(await refusal(t, missing), 'the program cannot be run')
  const { providerAnswerBytesMax } = LIMITS
  const filled = (bytes: number): Promise<Minted> => {
    const text = JSON.stringify({ value: 'x', more: '' })
    return issuerOf(print({ value: 'x', more: 'y'.repeat(bytes - 1 - text.length) })).mint(
      request(),
    )
  }
  t.match(await filled(providerAnswerBytesMax), { material: { value: 'x' } })
  t.equal(await refusal(t, filled(providerAnswerBytesMax + 1)), 'the program prints too much')
  const endless = issuerOf('yes canary').mint(request())
  t.equal(await refusal(t, endless), 'the program prints too much')
})

void t.test('a program that takes too long is ended with all that it started', async (t) => {
  const dir = t.testdir({})
  const file = join(dir, 'pids')
  const isGone = (pid: number): boolean =>
    !existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  const pids = (): number[] => readFileSync(file, 'utf8').trim().split(/\s+/).map(Number)
  const script = `sleep 300 & (trap '' TERM; sleep 300) & echo $$ $! > ${file}; wait`
  const slow = issuerOf(script, { limits: { providerTimeoutMs: 700 } }).mint(request())
  t.equal(await refusal(t, slow), 'the program takes too long')
  await until(() => pids().length === 2 && pids().every(isGone), 'nothing is left')
  const { signal, ...rest } = request()
  t.notOk(signal.aborted)
  const aborted = AbortSignal.abort()
  t.equal(
    await refusal(t, issuerOf(script).mint({ ...rest, signal: aborted })),
    'the program was given up',
  )
  const leaving = issuerOf(`sleep 300 > /dev/null & echo $! $$ > ${file}; echo '{"value":"x"}'`)
  t.match(await leaving.mint(request()), { material: { value: 'x' } })
  await until(() => pids().every(isGone), 'what a program leaves behind ends with it')
})

void t.test(
  'what cannot be used is taken back, and what was asked for is not cut off',
  async (t) => {
    const file = join(t.testdir({}), 'seen')
    const revoke = ['/bin/sh', '-c', `cat > ${file}`]
    const unusable = issuerOf(print({ value: 'two\nlines', id: 'k' }), { revoke })
    t.match(await refusal(t, unusable.mint(request())), /characters that cannot be sent/)
    t.match(JSON.parse(readFileSync(file, 'utf8')), { id: 'k' })
    const leaving = new AbortController()
    const late = issuerOf(`sleep 0.2; ${print({ value: CANARY })}`, { revoke })
    const minted = late.mint({ ...request(), signal: leaving.signal })
    leaving.abort()
    t.match(await minted, { material: { value: CANARY }, handle: { task: taskFor({}).id } })
    const never = late.mint({ ...request(), signal: leaving.signal })
    t.equal(await refusal(t, never), 'the program was given up')
  },
)

void t.test('what takes it back gets what was printed', async (t) => {
  const file = join(t.testdir({}), 'seen')
  const revoke = (script: string): readonly string[] => ['/bin/sh', '-c', script]
  const printed = { value: CANARY, id: 'k', secretly: 'kept' }
  const issuer = issuerOf(print(printed), {
    revoke: revoke(`cat > ${file}; echo $SALLYPORT_TASK >> ${file}`),
  })
  const { handle } = await issuer.mint(request())
  if (handle === undefined) throw new Error('no handle')
  const signal = new AbortController().signal
  t.equal(await issuer.revoke(JSON.parse(JSON.stringify(handle)), signal), 'confirmed')
  const [json = '', task] = readFileSync(file, 'utf8').trim().split('\n')
  t.strictSame(JSON.parse(json), printed)
  t.equal(task, taskFor({}).id)
  const failing = issuerOf('', { revoke: revoke(`echo ${CANARY} >&2; exit 4`) })
  t.equal(await refusal(t, failing.revoke(handle, signal)), 'the program: exit code 4')
  const deaf = issuerOf('', { revoke: revoke('exit 0') })
  const large = { printed: 'x'.repeat(1_000_000), task: 't' }
  t.equal(await deaf.revoke(large, signal), 'confirmed', 'one that does not read it')
})
