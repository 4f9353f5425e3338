// The inner side of a sandbox's start, a program of its own: in the new namespaces it sets up network and mounts, opens the
// doors and hands them out, gives up what it can do, and becomes the shell that is process 1 there. Deliberately knows nothing
// of tasks and rules. Started by `outer.ts`; built and in a checkout alike.

import { spawnSync } from 'node:child_process'
import dgram from 'node:dgram'
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import net from 'node:net'

import {
  isToInside,
  type SandboxCommand,
  type ToInside,
  type ToOutside,
  type Tools,
} from './messages.ts'
import { mountScript, type MountFacts } from './mount-script.ts'

type Door = Extract<ToOutside, { kind: 'door' }>['door']

/** TCP doors: to whatever address of theirs somebody connects. */
const STREAM_DOORS: readonly (readonly [Door, number])[] = [
  ['tls', 443],
  ['http', 80],
  ['proxy', 3128],
  ['socks', 1080],
  ['dns', 53],
]

const DNS_PORT = 53
/** Opens a path as a place alone, without what opening it would do. */
const O_PATH = 0o10000000
const O_CLOEXEC = 0o2000000
const SET_UP_TIMEOUT_MS = 20_000

/** What the command may do beyond its user: nothing, for ever. */
const POWERLESS = [
  '--no-new-privs',
  '--inh-caps=-all',
  '--ambient-caps=-all',
  '--bounding-set=-all',
]

/** What process 1 may: take away the rest from its child. So that child, which has less, cannot trace it. */
const INIT_RIGHTS = [
  '--no-new-privs',
  '--inh-caps=-all,+setpcap',
  '--ambient-caps=-all,+setpcap',
  '--bounding-set=-all,+setpcap',
]

/**
 * Process 1: runs the command in the foreground, so that it keeps the terminal and its signals, takes in the orphans, and ends
 * with the command's code, which ends everything else in the namespace. What a shell says of a signal is nobody's output.
 */
const INIT_SCRIPT = 'exec 3>&2 2>/dev/null; (exec "$@" 2>&3 3>&-); exit $?'

process.once('disconnect', () => process.exit(1))
process.on('message', onMessage)

let tools: Tools | undefined
let taken: (() => void) | undefined

function onMessage(message: unknown): void {
  if (!isToInside(message)) return
  if (message.kind === 'taken') taken?.()
  else start(message).catch((error: unknown) => fail(error))
}

async function start(told: Exclude<ToInside, { kind: 'taken' }>): Promise<void> {
  if (told.kind === 'run') {
    become(told.command)
    return
  }
  tools = told.tools
  setUp(told.mounts, told.tools)
  // What it was started in is another mount by now, in which nothing is hidden.
  process.chdir(told.workDir)
  const hasIpv6 = existsSync('/proc/net/if_inet6')
  for (const [door, port] of STREAM_DOORS) await handStream(door, port, hasIpv6 ? '::' : '0.0.0.0')
  await handDatagrams('udp4')
  if (hasIpv6) await handDatagrams('udp6')
  send({ kind: 'ready' })
}

function setUp(mounts: MountFacts, { sh, ip, mount }: Tools): void {
  const { text, opened } = mountScript(mounts)
  const descriptors = opened.map((path) => openSync(path, O_PATH | constants.O_RDONLY))
  const { status, stderr } = spawnSync(sh, ['-e', '-c', text], {
    stdio: ['ignore', 'ignore', 'pipe', ...descriptors],
    env: { PATH: pathOf([ip, mount]), LC_ALL: 'C' },
    encoding: 'utf8',
    timeout: SET_UP_TIMEOUT_MS,
  })
  for (const descriptor of descriptors) closeSync(descriptor)
  if (status !== 0) throw new Error(stderr.trim() || `the set-up ended with ${String(status)}`)
}

function pathOf(programs: readonly string[]): string {
  const own = programs.map((program) => program.slice(0, program.lastIndexOf('/')))
  return [...own, '/usr/bin', '/bin', '/usr/sbin', '/sbin'].join(':')
}

async function handStream(door: Door, port: number, host: string): Promise<void> {
  const server = net.createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, resolve)
  })
  await hand({ kind: 'door', door, port }, server)
  // A copy that is kept would take connections away.
  await new Promise<unknown>((resolve) => server.close(resolve))
}

async function handDatagrams(type: 'udp4' | 'udp6'): Promise<void> {
  const socket = dgram.createSocket({ type, ipv6Only: type === 'udp6' })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(DNS_PORT, resolve)
  })
  await hand({ kind: 'door', door: 'dns', port: DNS_PORT }, socket)
  await new Promise<void>((resolve) => socket.close(resolve))
}

async function hand(message: ToOutside, handle: net.Server | dgram.Socket): Promise<void> {
  const isTaken = new Promise<void>((resolve) => {
    taken = resolve
  })
  process.send?.(message, handle)
  await isTaken
}

/** Becomes process 1 of the sandbox. */
function become({ words, variables, workDir, proof }: SandboxCommand): void {
  const { setpriv, sh } = tools!
  process.chdir(workDir)
  closeInherited()
  if (proof !== undefined) prove(proof, variables)
  const command = [setpriv, ...POWERLESS, '--', ...words]
  const init = [sh, '-c', INIT_SCRIPT, 'sallyport', ...command]
  process.removeAllListeners('disconnect')
  process.send?.({ kind: 'running' } satisfies ToOutside, () =>
    process.execve?.(setpriv, ['setpriv', ...INIT_RIGHTS, '--', ...init], { ...variables }),
  )
}

function prove([program = '', ...words]: readonly string[], env: Record<string, string>): void {
  const { status, stdout, stderr } = spawnSync(
    tools!.setpriv,
    [...POWERLESS, '--', program, ...words],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
      encoding: 'utf8',
    },
  )
  // What it found is of use where there is something, and no output of the command.
  if (status === 0) return
  const found = `${stdout}${stderr}`.trimEnd()
  throw new Error(`the proof failed, and the command did not run\n${found}`)
}

/** What this process was started with and does not know is no business of the command. */
function closeInherited(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const descriptor = Number(name)
    if (descriptor > 2 && isInherited(descriptor)) closeSync(descriptor)
  }
}

function isInherited(descriptor: number): boolean {
  try {
    const info = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8')
    const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? '0', 8)
    return (flags & O_CLOEXEC) === 0
  } catch {
    // The listing's own, which is closed by now.
    return false
  }
}

function send(message: ToOutside): void {
  process.send?.(message)
}

function fail(error: unknown): void {
  const what = error instanceof Error ? error.message : String(error)
  process.send?.({ kind: 'failed', what } satisfies ToOutside, () => process.exit(1))
}
