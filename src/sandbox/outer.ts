// The outer side of a sandbox: starts the namespaces, gives out what comes to its doors, lets the command run, passes signals
// on, and ends all of it. Deliberately knows nothing of tasks and rules: `cli/run.ts` does.

import { spawn, type ChildProcess } from 'node:child_process'
import { Socket as DatagramSocket } from 'node:dgram'
import { Server } from 'node:net'
import { constants } from 'node:os'
import { isatty } from 'node:tty'

import type { HandedDoor } from '../listen/doors.ts'
import { fileOf } from '../program.ts'
import { isToOutside, type SandboxCommand, type ToInside, type Tools } from './messages.ts'
import type { MountFacts } from './mount-script.ts'
import { firstChildOf, passSignals } from './signals.ts'
import { SandboxProblem, whyForbidden } from './tools.ts'

/** How a sandbox came to its end. */
export interface SandboxEnd {
  /** The command's, or 128 and the number of the signal that ended it. */
  readonly code: number
}

const SIGNAL_CODES_FROM = 128
const KILLED_CODE = SIGNAL_CODES_FROM + constants.signals.SIGKILL

/** A sandbox, from its namespaces to its end. */
export class Sandbox {
  readonly #child: ChildProcess
  readonly #tools: Tools
  readonly #ended: Promise<SandboxEnd>
  readonly #stopSignals: () => void
  #onDoor: ((door: HandedDoor) => void) | undefined
  #onReady: (() => void) | undefined
  #onFailed: ((error: Error) => void) | undefined
  #isRunning = false
  #early: NodeJS.Signals | undefined

  /** Starts the namespaces. Nothing runs in them yet but our own. */
  constructor(tools: Tools) {
    this.#tools = tools
    const hasTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor))
    this.#child = spawn(tools.setpriv, namespaceWords(tools), {
      // A group reaches out of its namespace: who signals it signals this process and whoever started it. And who is in the
      // session may type into its terminal, although it was given none.
      detached: !hasTerminal,
      // Nothing inside reads the variables of this process.
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
      env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C' },
    })
    this.#child.on('message', (message, handle) => this.#take(message, handle))
    // Writing to a process that has ended fails, and its end is told.
    this.#child.on('error', (error) => this.#onFailed?.(error))
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        this.#stopSignals()
        resolve({ code: code ?? codeOf(signal) })
      })
    })
    this.#stopSignals = passSignals(
      () => (this.#isRunning ? this.#commandPid() : undefined),
      (signal) => this.#interrupt(signal),
      hasTerminal,
    )
  }

  /** Resolves once everything in the sandbox has ended. */
  get ended(): Promise<SandboxEnd> {
    return this.#ended
  }

  /**
   * Sets the sandbox up and gives out its doors, one by one.
   * @throws SandboxProblem where that is not possible here, with the reason
   */
  async setUp(
    mounts: MountFacts,
    workDir: string,
    onDoor: (door: HandedDoor) => void,
  ): Promise<void> {
    this.#onDoor = onDoor
    const isReady = new Promise<void>((resolve, reject) => {
      this.#onReady = resolve
      this.#onFailed = reject
    })
    this.#send({ kind: 'set-up', mounts, workDir, tools: this.#tools })
    await Promise.race([isReady, this.#endedEarly()])
  }

  /** Lets the command run. @returns how it ended @throws SandboxProblem where it did not begin */
  async run(command: SandboxCommand): Promise<SandboxEnd> {
    const hasFailed = new Promise<never>((_, reject) => {
      this.#onFailed = reject
    })
    const hasBegun = new Promise<void>((resolve) => {
      this.#onReady = resolve
    })
    this.#send({ kind: 'run', command })
    await Promise.race([hasBegun, hasFailed, this.#ended])
    this.#isRunning = true
    if (this.#child.connected) this.#child.disconnect()
    return this.#ended
  }

  /** Ends everything in it at once; resolves when it has. */
  async end(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  #take(message: unknown, handle: unknown): void {
    if (!isToOutside(message)) return
    switch (message.kind) {
      case 'door':
        this.#onDoor?.(doorOf(message.door, handle))
        this.#send({ kind: 'taken' })
        break
      case 'ready':
      case 'running':
        this.#onReady?.()
        break
      case 'failed':
        this.#onFailed?.(new SandboxProblem(message.what))
    }
  }

  async #endedEarly(): Promise<never> {
    await this.#ended
    if (this.#early !== undefined) throw new SandboxProblem(`ended by ${this.#early}`)
    throw new SandboxProblem(`the namespaces cannot be made: ${whyForbidden()}`)
  }

  #interrupt(signal: NodeJS.Signals): void {
    if (!['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'].includes(signal)) return
    this.#early = signal
    this.#child.kill('SIGKILL')
  }

  /** The command's process, as it is seen from here. */
  #commandPid(): number | undefined {
    const init = this.#child.pid === undefined ? undefined : firstChildOf(this.#child.pid)
    return init === undefined ? undefined : firstChildOf(init)
  }

  #send(message: ToInside): void {
    if (this.#child.connected) this.#child.send(message)
  }
}

function namespaceWords({ unshare }: Tools): string[] {
  const inner = fileOf('sandbox/inner')
  const who = process.getuid?.() === 0 ? '--map-root-user' : '--map-current-user'
  // Whatever happens to this process, nothing inside outlives it.
  const words = ['--pdeathsig', 'KILL', '--', unshare, '--user', who, '--keep-caps', '--net']
  words.push('--mount', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc', '--')
  return [...words, process.execPath, '--disable-warning=ExperimentalWarning', inner]
}

function doorOf(door: HandedDoor['door'], handle: unknown): HandedDoor {
  // It is the sandbox that keeps this process going, not its doors.
  if (handle instanceof Server) return { door, listener: handle.unref() }
  if (handle instanceof DatagramSocket && door === 'dns') return { door, socket: handle.unref() }
  throw new SandboxProblem(`the door ${door} came without its listener`)
}

function codeOf(signal: NodeJS.Signals | null): number {
  return signal === null ? KILLED_CODE : SIGNAL_CODES_FROM + constants.signals[signal]
}
