// The set-up of a sandbox as one script for `sh -e`: devices of its own, a process table and a system that can only be read,
// the masks, a resolver of its own. Pure. Called by `inner.ts`, which hands over what has to be shown again as descriptors.

import { pathOf, type HiddenPlace, type MountStep } from './masks.ts'

/** A script, and the paths that it must be given opened, as descriptors from 3 on. */
export interface MountScript {
  readonly text: string
  readonly opened: readonly string[]
}

/** What the script is made from. */
export interface MountFacts {
  readonly steps: readonly MountStep[]
  /** Of the machine's devices those that are there. */
  readonly devices: readonly string[]
  /** The terminal of the command; undefined: none. */
  readonly terminal: string | undefined
  /** What is written below `/proc` although the process table is the sandbox's own, as far as it is there. */
  readonly frozenProc: readonly string[]
  /** Where the file of resolvers really is; undefined where there is none. */
  readonly resolvFile: string | undefined
  /** Whether what that file is in is the sandbox's own. */
  readonly isResolvHidden: boolean
}

/** The devices that programs expect, and that lead nowhere. */
export const DEVICES: readonly string[] = ['null', 'zero', 'full', 'random', 'urandom', 'tty']

/** What is written below `/proc` and concerns the whole machine. */
export const FROZEN_PROC: readonly string[] = [
  '/proc/sys',
  '/proc/sysrq-trigger',
  '/proc/irq',
  '/proc/bus',
  '/proc/fs',
  '/proc/acpi',
  '/proc/scsi',
]

/** Files of our own: nothing in them, and a resolver that is us. */
const OWN_DIR = '/dev/.sallyport'
const EMPTY_FILE = `${OWN_DIR}/empty`
const RESOLV_FILE = `${OWN_DIR}/resolv.conf`

const SEALED = 'nosuid,nodev,noexec'

/**
 * Whoever is in a namespace of mounts below this one, in which a mount is not, may move away what it is mounted on here: rules,
 * configuration, state. The kernel counts per user namespace, so that this is the sandbox's own number.
 */
const NO_NAMESPACES_BELOW = 'echo 0 > /proc/sys/user/max_mnt_namespaces'

/** Writes the script. */
export function mountScript(facts: MountFacts): MountScript {
  const opened: string[] = []
  const open = (path: string): string => `/proc/self/fd/${opened.push(path) + 2}`
  const lines = [
    NO_NAMESPACES_BELOW,
    ...networkLines(),
    ...deviceLines(facts, open),
    ...facts.frozenProc.map((path) => `mount -o bind,ro,${SEALED} ${path} ${path}`),
    ...maskLines(facts.steps, open),
    ...resolvLines(facts),
  ]
  return { text: `${lines.join('\n')}\n`, opened }
}

/** Every address is this namespace's own, so that whatever is dialed arrives where somebody listens, or fails at once. */
function networkLines(): string[] {
  return [
    'ip link set lo up',
    'ip route add local 0.0.0.0/0 dev lo',
    // Where the machine has no IPv6, there is no way out by it either.
    'if [ -e /proc/net/if_inet6 ]; then ip -6 route add local ::/0 dev lo; fi',
    // Who asks for a name as far as addresses are configured (AI_ADDRCONFIG) does not count 127.0.0.1 and ::1.
    'ip address add 127.0.0.2/8 dev lo',
    'if [ -e /proc/net/if_inet6 ]; then ip -6 address add ::2/128 dev lo nodad; fi',
  ]
}

function deviceLines({ devices, terminal }: MountFacts, open: (path: string) => string): string[] {
  const sources = devices.map((name) => [name, open(`/dev/${name}`)] as const)
  const console = terminal === undefined ? [] : [['console', open(terminal)] as const]
  return [
    'mount -t tmpfs -o nosuid,noexec,mode=0755,size=64k sallyport /dev',
    'mkdir /dev/pts /dev/shm',
    // Of a read-only mount the device is written all the same, and its mode cannot be changed.
    ...[...sources, ...console].flatMap(([name, source]) => [
      `: > /dev/${name}`,
      `mount -c -o bind,ro,nosuid,noexec ${source} /dev/${name}`,
    ]),
    'mount -t devpts -o newinstance,nosuid,noexec,mode=0620,ptmxmode=0666 sallyport /dev/pts',
    'mount -t tmpfs -o nosuid,nodev,mode=1777 sallyport /dev/shm',
    'ln -s pts/ptmx /dev/ptmx',
    'ln -s /proc/self/fd /dev/fd',
    'ln -s fd/0 /dev/stdin',
    'ln -s fd/1 /dev/stdout',
    'ln -s fd/2 /dev/stderr',
    `mkdir ${OWN_DIR}`,
    `: > ${EMPTY_FILE}`,
    `echo 'nameserver 127.0.0.1' > ${RESOLV_FILE}`,
    `chmod 444 ${EMPTY_FILE} ${RESOLV_FILE}`,
    `mount -o bind,ro,${SEALED} ${EMPTY_FILE} ${EMPTY_FILE}`,
    `mount -o bind,ro,${SEALED} ${RESOLV_FILE} ${RESOLV_FILE}`,
    'mount -o remount,bind,ro,nosuid,noexec /dev',
  ]
}

function maskLines(steps: readonly MountStep[], open: (path: string) => string): string[] {
  // Everything that is shown again is opened before anything is hidden.
  const sources = new Map(
    steps.flatMap((step) =>
      step.kind === 'restore' ? [[step.place.path, open(step.place.path)] as const] : [],
    ),
  )
  return steps.flatMap((step) => linesOf(step, sources.get(pathOf(step)) ?? ''))
}

function linesOf(step: MountStep, source: string): string[] {
  const path = quote(pathOf(step))
  if (step.kind === 'hide') return [hideLine(step.place)]
  if (step.kind === 'restore')
    return [...placeLines(pathOf(step), step.place.kind), `mount -c --rbind ${source} ${path}`]
  if (step.kind === 'seal') return [`mount -o remount,bind,ro,${SEALED} ${path}`]
  const shown = `mount --rbind ${path} ${path}`
  if (step.kind === 'pin') return [shown]
  return [shown, `mount -o remount,bind,${['ro', ...step.place.flags].join(',')} ${path}`]
}

const HIDING_OPTIONS = {
  sealed: `${SEALED},mode=0555,size=64k`,
  fresh: 'nosuid,nodev,mode=0755',
  shared: 'nosuid,nodev,mode=1777',
} as const

function hideLine({ path, kind, as }: HiddenPlace): string {
  // Of a mount that can only be read, another one can only be read, too.
  if (kind === 'file') return `mount --bind ${EMPTY_FILE} ${quote(path)}`
  return `mount -t tmpfs -o ${HIDING_OPTIONS[as]} sallyport ${quote(path)}`
}

function resolvLines({ resolvFile, isResolvHidden }: MountFacts): string[] {
  // Without any, clients ask this host.
  if (resolvFile === undefined) return []
  return [
    ...(isResolvHidden ? placeLines(resolvFile, 'file') : []),
    `mount --bind ${RESOLV_FILE} ${quote(resolvFile)}`,
  ]
}

/** Makes what something is mounted on, within what is the sandbox's own. */
function placeLines(path: string, kind: 'directory' | 'file'): string[] {
  if (kind === 'directory') return [`mkdir -p ${quote(path)}`]
  const parent = path.slice(0, Math.max(1, path.lastIndexOf('/')))
  return [`mkdir -p ${quote(parent)}`, `: > ${quote(path)}`]
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
