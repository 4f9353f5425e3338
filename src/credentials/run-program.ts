// One run of a program that gives or takes back a credential: no shell, no descriptor and no variable of the sidecar's but those
// it is given, a bound on what it prints, and no process left of its group. Deliberately knows nothing of what it prints; what it
// says on stderr is seen by nobody, as it may hold the secret. Called by `issuers/exec.ts`.

import { spawn, type ChildProcess } from 'node:child_process'

import { ProviderError } from './issuer.ts'

/** What is run, and with what. */
export interface ProgramRun {
  readonly words: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** On its stdin; absent: nothing, and its end at once. */
  readonly input?: string
  /** Bytes that it may print. */
  readonly outputBytesMax: number
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/**
 * Runs a program and gives what it printed. By then, or when it is given up, nothing of its group is left.
 * @throws ProviderError
 */
export function runProgram(run: ProgramRun): Promise<string> {
  const { input, outputBytesMax, timeoutMs, signal } = run
  const chunks: Buffer[] = []
  let bytes = 0
  return new Promise((resolve, reject) => {
    const child = start(run)
    const { stdout } = child
    const giveUp = (why: string): void => {
      // Once it has ended, its number may be another's.
      if (child.exitCode === null && child.signalCode === null) endGroup(child)
      // Who left the group may still hold it open.
      stdout?.destroy()
      finish(() => reject(new ProviderError(why)))
    }
    const onAbort = (): void => giveUp('the program was given up')
    const timer = setTimeout(() => giveUp('the program takes too long'), timeoutMs)
    const finish = (settle: () => void): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      settle()
      for (const chunk of chunks.splice(0)) chunk.fill(0)
    }
    stdout?.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > outputBytesMax) giveUp('the program prints too much')
      else chunks.push(chunk)
    })
    child.once('error', () => giveUp('the program cannot be run'))
    child.once('exit', () => endGroup(child))
    child.once('close', (code) => {
      if (code === 0) finish(() => resolve(Buffer.concat(chunks).toString('utf8')))
      else giveUp(howItEnded(code))
    })
    // One that reads nothing ends before all is written.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}

function start({ words, environment, input }: ProgramRun): ChildProcess {
  const [program = '', ...rest] = words
  try {
    return spawn(program, rest, {
      env: environment,
      // A group of its own, which ends as one.
      detached: true,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'ignore'],
    })
  } catch (error) {
    // Its message would quote what cannot be passed.
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    throw new ProviderError(`the program cannot be run: ${code}`, { isLasting: true })
  }
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nothing is left of it.
  }
}

function howItEnded(code: number | null): string {
  return code === null ? 'the program was ended by a signal' : `the program: exit code ${code}`
}
