// The hooks of the configuration as the tasks room runs them: a program, a POST, or a signal to the sandbox's process. Each
// resolves only once the sandbox's end is confirmed. Called by `sidecar.ts`.

import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Dialer } from '../net/dial.ts'
import { HttpPoster } from '../net/http-client.ts'
import { processStart, type EndHook, type HookFacts } from '../tasks/sandbox.ts'
import type { HookSection } from './hook-schema.ts'
import { permitUrl } from './operator-permit.ts'

const GONE_CHECK_MS = 50
// What a hook prints is not kept beyond it.
const OUTPUT_BYTES_MAX = 64 * 1024
const ERROR_CHARACTERS_MAX = 200

/** Makes every hook. */
export function makeHooks(
  sections: Readonly<Record<string, HookSection>>,
  dialer: Dialer,
): ReadonlyMap<string, EndHook> {
  return new Map(
    Object.entries(sections).map(([name, section]) => [name, makeHook(name, section, dialer)]),
  )
}

function makeHook(name: string, section: HookSection, dialer: Dialer): EndHook {
  const { exec, http, signal = 'TERM', timeout } = section
  if (exec !== undefined) return { run: (facts) => runProgram(exec, facts, timeout) }
  if (http === undefined) return { run: (facts) => sendSignal(signal, facts, timeout) }
  const url = new URL(http.url)
  const permit = permitUrl(`hooks.${name}.http`, url)
  const poster = new HttpPoster(dialer, permit, `${url.pathname}${url.search}`, {
    sinkTimeoutMs: timeout,
  })
  return { run: (facts) => post(poster, http.headers, facts, timeout) }
}

// No shell, no variables of the sidecar's own but the path: a hook must not see what the sidecar keeps.
function runProgram(
  [program = '', ...words]: readonly string[],
  facts: HookFacts,
  timeoutMs: number,
): Promise<void> {
  const { taskId, sandboxId, image = '', pid, cause } = facts
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    SALLYPORT_TASK: taskId,
    SALLYPORT_SANDBOX: sandboxId,
    SALLYPORT_IMAGE: image,
    SALLYPORT_PID: pid === undefined ? '' : String(pid),
    SALLYPORT_CAUSE: cause,
  }
  return new Promise((resolve, reject) => {
    const options = {
      env,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: OUTPUT_BYTES_MAX,
    } as const
    execFile(program, words, options, (error, _out, errors) => {
      if (error === null) return resolve()
      if (error.killed === true) return reject(new Error(`no end within ${timeoutMs} ms`))
      const said = errors.trim().slice(0, ERROR_CHARACTERS_MAX)
      const how = typeof error.code === 'number' ? `exit code ${error.code}` : String(error.code)
      reject(new Error(said === '' ? how : `${how}: ${said}`))
    }).stdin?.end()
  })
}

async function post(
  poster: HttpPoster,
  headers: Readonly<Record<string, string>>,
  facts: HookFacts,
  timeoutMs: number,
): Promise<void> {
  const { taskId: task, sandboxId: sandbox, image, pid, cause } = facts
  const body = Buffer.from(JSON.stringify({ task, sandbox, image, pid, cause }))
  const { status } = await poster.post(
    body,
    { ...headers, 'content-type': 'application/json' },
    AbortSignal.timeout(timeoutMs),
  )
  if (status < 200 || status > 299) throw new Error(`answered with status ${status}`)
}

async function sendSignal(
  signal: 'TERM' | 'INT' | 'HUP' | 'KILL',
  { pid }: HookFacts,
  timeoutMs: number,
): Promise<void> {
  // No process, or one that has ended already.
  if (pid === undefined) return
  const started = processStart(pid)
  const isGone = (): boolean => started === undefined || processStart(pid) !== started
  const waitGone = async (forMs: number): Promise<boolean> => {
    const until = performance.now() + forMs
    while (!isGone() && performance.now() < until) await sleep(GONE_CHECK_MS)
    return isGone()
  }
  if (isGone()) return
  process.kill(pid, `SIG${signal}`)
  if (await waitGone(timeoutMs)) return
  process.kill(pid, 'SIGKILL')
  if (!(await waitGone(timeoutMs))) throw new Error(`process ${pid} survives KILL`)
}
