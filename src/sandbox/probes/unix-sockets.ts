// Unix sockets, which no network namespace stops: those that the kernel lists, those of engines, agents and desktops, whatever
// lies in the usual directories, the control socket, and abstract ones. Called by `inside.ts`.

import { readdirSync, realpathSync, type Dirent } from 'node:fs'
import path from 'node:path'

import { systemErrorCode } from '../../record/system-error.ts'
import { reporterFor, type Finding } from '../finding.ts'
import { getRequest, isOfControl, readAnswer } from './http-text.ts'
import { knock } from './knock.ts'
import { shown } from './ours.ts'
import { ownSocketInodes } from './own-sockets.ts'
import type { Probe } from './probe.ts'
import { textOf, type Surroundings } from './surroundings.ts'

const { ok, warn, fail } = reporterFor('unix')

const WELL_KNOWN = [
  '/run/docker.sock',
  '/var/run/docker.sock',
  '/run/podman/podman.sock',
  '/run/containerd/containerd.sock',
  '/run/crio/crio.sock',
  '/run/dbus/system_bus_socket',
  '/run/systemd/private',
  '/run/systemd/journal/stdout',
  '/tmp/.X11-unix/X0',
]
const SEARCHED = ['/run', '/var/run', '/tmp', '/var/tmp']
/** Variables that name a socket, alone or behind a scheme. */
const VARIABLES = [
  'SSH_AUTH_SOCK',
  'DOCKER_HOST',
  'CONTAINER_HOST',
  'DBUS_SESSION_BUS_ADDRESS',
  'GPG_AGENT_INFO',
  'SALLYPORT_CONTROL',
]
const DEPTH_MAX = 4
const ENTRIES_MAX = 20_000
const SOCKETS_MAX = 256
// Long enough to hear what the control API says, short enough for all of them.
const PATIENCE = { connectMs: 500, answerMs: 500 }
const MEND =
  'mount an empty directory over it, and do not share the directory with the sandbox; for abstract ones: a network namespace of its own'

/** SOCK_STREAM, as the kernel lists it. */
const STREAM = '0001'

/** What the kernel lists. */
interface Listed {
  readonly name: string
  readonly inode: string
  readonly isStream: boolean
}

/** Connects to each. */
export const probeUnixSockets: Probe = async (around) => {
  const listed = listedSockets()
  const places = new Map<string, Listed | undefined>()
  for (const file of [...WELL_KNOWN, ...namedSockets(around), ...found(around)])
    places.set(realPlace(file), undefined)
  for (const socket of listed) places.set(socket.name, socket)
  const own = ownSocketInodes()
  const looked = [...places].slice(0, SOCKETS_MAX)
  const findings = (
    await Promise.all(looked.map(([place, socket]) => tryPlace(place, socket, own)))
  ).flat()
  if (places.size > SOCKETS_MAX)
    findings.push(
      warn('further sockets', `${places.size - SOCKETS_MAX} more`, 'not looked at', MEND),
    )
  const isClean = findings.length === 0
  return isClean
    ? [ok(`${looked.length} unix sockets`, 'none takes a connection', 'no way out')]
    : findings
}

/** One name for a socket that is seen by several. */
function realPlace(place: string): string {
  if (place.startsWith('\0')) return place
  try {
    return realpathSync(place)
  } catch {
    return place
  }
}

async function tryPlace(
  place: string,
  listed: Listed | undefined,
  own: ReadonlySet<string>,
): Promise<Finding[]> {
  const request = getRequest('/openapi.json', 'localhost')
  const result = await knock({ path: place }, request, () => true, PATIENCE)
  const isAbstract = place.startsWith('\0')
  // Whoever takes datagrams or packets is there, although not to be talked to from here; of abstract ones the list alone tells.
  const isOfAnotherKind =
    (result.kind === 'failed' && result.code === 'EPROTOTYPE') ||
    (isAbstract && listed?.isStream === false)
  if (result.kind !== 'accepted' && !isOfAnotherKind) return []
  const happened = isOfAnotherKind ? 'takes datagrams or packets' : 'accepted'
  const tried = `the ${isAbstract ? 'abstract' : 'unix'} socket ${shown(place.replace('\0', '@'))}`
  const answer = result.kind === 'accepted' ? readAnswer(result.bytes) : undefined
  if (answer !== undefined && isOfControl(answer))
    return [fail(tried, 'the control API answers', 'it is reached from the sandbox (I6)', MEND)]
  if (listed !== undefined && own.has(listed.inode))
    return [warn(tried, happened, 'a process of this sandbox: what it holds it may pass on', MEND)]
  return [fail(tried, happened, 'a process outside of this sandbox is reached', MEND)]
}

/** The sockets of this network namespace that have a name. @see proc_net_unix(5) */
function listedSockets(): Listed[] {
  return textOf('/proc/net/unix')
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, type, inode, name] = /^\S+ \S+ \S+ \S+ (\S+) \S+ +(\d+) (.+)$/.exec(line) ?? []
      if (inode === undefined || name === undefined) return []
      const isStream = type === STREAM
      return [{ name: name.startsWith('@') ? `\0${name.slice(1)}` : name, inode, isStream }]
    })
}

function namedSockets({ environment, files }: Surroundings): string[] {
  const values = VARIABLES.map((name) => environment[name] ?? '')
  const { controlAddress = '' } = files
  const { DISPLAY = '', XDG_RUNTIME_DIR = '', WAYLAND_DISPLAY = '', HOME = '' } = environment
  const display = /^:(\d{1,3})/.exec(DISPLAY)?.[1]
  return [
    ...[...values, controlAddress].flatMap((value) => pathsIn(value)),
    ...(display === undefined
      ? []
      : [`/tmp/.X11-unix/X${display}`, `\0/tmp/.X11-unix/X${display}`]),
    ...(XDG_RUNTIME_DIR === '' || WAYLAND_DISPLAY === ''
      ? []
      : [path.join(XDG_RUNTIME_DIR, WAYLAND_DISPLAY)]),
    ...(HOME === '' ? [] : [path.join(HOME, '.gnupg/S.gpg-agent')]),
    ...files.sockets,
  ]
}

/** `/run/x`, `unix:///run/x`, `unix:path=/run/x,guid=…`, `unix:abstract=name`. */
function pathsIn(value: string): string[] {
  const abstract = /unix:abstract=([^,;]+)/.exec(value)?.[1]
  if (abstract !== undefined) return [`\0${abstract}`]
  const file = /^(?:unix:(?:\/\/|path=)?)?([^,;]+)/.exec(value)?.[1]
  return file === undefined || file === '' || /^\w+:/.test(file) ? [] : [path.resolve(file)]
}

/** Sockets in the usual directories, searched breadth first within bounds. */
function found({ environment, files }: Surroundings): string[] {
  const { XDG_RUNTIME_DIR } = environment
  const start = [
    ...SEARCHED,
    ...(XDG_RUNTIME_DIR === undefined ? [] : [XDG_RUNTIME_DIR]),
    files.directory,
  ]
  let level = [...new Set([...start, process.cwd()])]
  let left = ENTRIES_MAX
  const sockets: string[] = []
  for (let depth = 0; depth < DEPTH_MAX && level.length > 0; depth += 1) {
    const below: string[] = []
    for (const directory of level) {
      for (const entry of entriesOf(directory)) {
        left -= 1
        if (left < 0) return sockets
        const file = path.join(directory, entry.name)
        if (entry.isSocket()) sockets.push(file)
        else if (entry.isDirectory() && entry.name !== 'node_modules') below.push(file)
      }
    }
    level = below
  }
  return sockets
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readEntries(directory)
  } catch (error) {
    if (systemErrorCode(error) !== undefined) return []
    throw error
  }
}

function readEntries(directory: string): Dirent[] {
  return readdirSync(directory, { withFileTypes: true })
}
