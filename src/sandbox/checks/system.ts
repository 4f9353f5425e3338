// What `sallyport run` asks of the machine: the platform, four programs, namespaces that an ordinary user may make, a fresh
// /proc in them. Tries it, and leaves nothing behind. Called by `outside.ts`.

import { execFile } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import path from 'node:path'

import { reporterFor, type Finding } from '../finding.ts'

const { ok, warn } = reporterFor('system')

const PROGRAMS = ['ip', 'unshare', 'mount', 'setpriv']
// Where an ordinary user's PATH does not lead, and they are.
const ALSO = ['/usr/sbin', '/sbin', '/usr/bin', '/bin']
const TIMEOUT_MS = 5000
const NAMESPACES = ['--user', '--map-root-user', '--net', '--mount', '--ipc']
const WITHOUT_RUN = '`sallyport run` does not work here; the sidecar itself does'

/** What stops namespaces of ordinary users, and the value that does. */
const SETTINGS: readonly (readonly [name: string, stops: string, lets: string])[] = [
  ['kernel.unprivileged_userns_clone', '0', '1'],
  ['user.max_user_namespaces', '0', '10000'],
  ['kernel.apparmor_restrict_unprivileged_userns', '1', '0'],
]

/** Checks the machine. */
export async function checkSystem(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly Finding[]> {
  const node = ok(`Node ${process.versions.node}`, 'runs this program', 'new enough')
  if (process.platform !== 'linux')
    return [
      node,
      warn(`the platform ${process.platform}`, 'is not Linux', WITHOUT_RUN, 'use Linux for `run`'),
    ]
  return [
    node,
    ok('the platform', `Linux on ${process.arch}`, 'as it must be'),
    ...findPrograms(environment['PATH'] ?? ''),
    ...(await tryNamespaces()),
  ]
}

function findPrograms(searched: string): Finding[] {
  const directories = [...searched.split(':').filter((one) => one !== ''), ...ALSO]
  const missing = PROGRAMS.filter(
    (name) => !directories.some((directory) => mayRun(path.join(directory, name))),
  )
  if (missing.length === 0)
    return [ok(`the programs ${PROGRAMS.join(', ')}`, 'are there', '`sallyport run` has its tools')]
  return missing.map((name) =>
    warn(
      `the program ${name}`,
      'is not there',
      WITHOUT_RUN,
      `install ${name === 'ip' ? 'iproute2' : 'util-linux'}`,
    ),
  )
}

async function tryNamespaces(): Promise<Finding[]> {
  const tried = 'new user, network, mount and IPC namespaces'
  const first = await run('unshare', [...NAMESPACES, '--', 'true'])
  if (first !== undefined) return [warn(tried, `not made: ${first}`, WITHOUT_RUN, howToAllow())]
  const made = ok(tried, 'are made', '`sallyport run` may')
  const second = await run('unshare', [...NAMESPACES, '--pid', '--fork', '--mount-proc', 'true'])
  if (second === undefined)
    return [made, ok('a fresh /proc in a new PID namespace', 'is mounted', '`sallyport run` may')]
  return [
    made,
    warn(
      'a fresh /proc in a new PID namespace',
      `not mounted: ${second}`,
      'a container engine hides parts of /proc, and the kernel then lets nobody mount another',
      'run outside of the container, or start it with `--security-opt systempaths=unconfined`',
    ),
  ]
}

function howToAllow(): string {
  const stopping = SETTINGS.filter(([name, stops]) => settingOf(name) === stops)
  const named = stopping.length === 0 ? SETTINGS : stopping
  const commands = named.map(([name, , lets]) => `sysctl -w ${name}=${lets}`).join(', ')
  return stopping.length === 0
    ? `none of ${named.map(([name]) => name).join(', ')} forbids it: a container's seccomp profile may`
    : `as root: ${commands}; or run as root`
}

function settingOf(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').trim()
  } catch {
    return undefined
  }
}

function mayRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Runs a program; what it complained of, in one line, or undefined where it did not. */
function run(command: string, words: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(
      command,
      [...words],
      { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' },
      (error, _out, complaint) => {
        if (error === null) resolve(undefined)
        else resolve((complaint.trim() || error.message).split('\n')[0]?.slice(0, 200) ?? 'failed')
      },
    )
  })
}
