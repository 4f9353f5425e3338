// Looks at the machine for what a sandbox is to see of it: what is there, where it really is, who listens on sockets. Decides
// nothing beyond that: `masks.ts` does. Called by `cli/run.ts`.

import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  realpathSync,
  statSync,
  type Stats,
} from 'node:fs'
import path from 'node:path'
import { isatty } from 'node:tty'

import type { Config } from '../config/config.ts'
import { linksTo, linksWithin } from './links.ts'
import {
  isWithin,
  MaskConflict,
  planMasks,
  type HiddenPlace,
  type MaskPlan,
  type Place,
} from './masks.ts'
import { aliasesOf, flagsAt, readMounts, type Mount } from './mount-table.ts'
import { DEVICES, FROZEN_PROC, type MountFacts } from './mount-script.ts'
import {
  governingFiles,
  ownDirectories,
  ownFiles,
  personalFiles,
  recordFiles,
} from './secret-files.ts'
import { boundSockets } from './unix-sockets.ts'

/** What a sandbox is made for. */
export interface SandboxFacts {
  readonly config: Config
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly workDir: string
  /** Home directories of whoever runs it. */
  readonly homes: readonly string[]
  /** Directory of this program. */
  readonly programDir: string
  /** What defines the task; undefined: nothing of its own. */
  readonly taskFile: string | undefined
}

/** What a sandbox sees. */
export interface SandboxView {
  readonly mounts: MountFacts
  readonly plan: MaskPlan
  /** Files of secrets that nothing but their names hides: one that replaces such a file is seen. */
  readonly loose: readonly string[]
}

/** The machine's own: what programs find there is the sandbox's, or nothing. */
const MACHINE: readonly HiddenPlace[] = [
  { path: '/sys', kind: 'directory', as: 'sealed' },
  { path: '/run', kind: 'directory', as: 'fresh' },
  { path: '/var/run', kind: 'directory', as: 'fresh' },
  { path: '/tmp', kind: 'directory', as: 'shared' },
  { path: '/var/tmp', kind: 'directory', as: 'shared' },
]

/** What of it is shown: how many processors there are, and programs, on systems that keep them there. */
const MACHINE_SHOWN: readonly string[] = [
  '/sys/devices/system/cpu',
  '/run/current-system',
  '/run/wrappers',
]

/** What runs of a checkout of this program, or is read by it. */
const PROGRAM_PARTS: readonly string[] = ['bin', 'dist', 'src', 'node_modules', 'package.json']

/** What is another one in there, whatever is changed in it. */
const OWN_INSIDE: readonly string[] = ['/dev', '/proc']

const RESOLV_FILE = '/etc/resolv.conf'
const OTHERS_MODE = 0o077

/** Finds out. @throws MaskConflict where the working directory, or what clients need, would be hidden */
export function lookAround(facts: SandboxFacts): SandboxView {
  const { config, environment, homes, programDir, taskFile } = facts
  const workDir = realpathSync(facts.workDir)
  const program = installationOf(programDir)
  const needed = [config.ca.dir, program.dir, process.execPath].map(realPath)
  const openDirs = [workDir, ...homes.map(realPath), ...needed]
  const files = ownFiles(config, environment).map(realPath)
  const records = recordFiles(config).map(realPath)
  const mounts = readMounts(readFileSync('/proc/self/mountinfo', 'utf8'))
  const everywhere = (at: string): string[] => [at, ...othersOf(at, mounts)]
  const frozen = [
    config.rules.dir,
    ...linksWithin(config.rules.dir),
    ...governingFiles(config),
    ...(taskFile !== undefined && statOf(taskFile)?.isFile() === true ? [taskFile] : []),
    ...program.parts,
  ].flatMap(everywhere)
  const sealed = [
    ...ownDirectories(config),
    ...personalFiles(homes),
    ...[...files, ...boundSockets(environment)].map((file) => closedAround(file, openDirs)),
    ...records.map((file) => around(file, openDirs)),
  ].flatMap(everywhere)
  const plan = planMasks({
    hidden: [
      ...MACHINE.filter((place) => realPath(place.path) === place.path),
      ...sealed.flatMap(findPlace).map((place): HiddenPlace => ({ ...place, as: 'sealed' })),
    ],
    kept: [...needed, ...MACHINE_SHOWN].flatMap(findPlace),
    frozen: frozen
      .flatMap(findPlace)
      .map((place) => ({ ...place, flags: flagsAt(place.path, mounts) })),
    pinned: [
      ...[...ownDirectories(config), ...files, ...records].flatMap(everywhere),
      ...frozen,
    ].flatMap(movableAbove),
    workDir,
  })
  checkLinks([...frozen, ...ownDirectories(config), config.ca.keyFile], frozen, plan)
  return {
    mounts: mountFacts(plan),
    plan,
    loose: [...files, ...records].filter((file) => isLoose(file, plan)),
  }
}

/** @throws MaskConflict where the command could make a path lead elsewhere */
function checkLinks(written: readonly string[], frozen: readonly string[], plan: MaskPlan): void {
  const fixed = [...frozen.map(realPath), ...OWN_INSIDE]
  const replaceable = (link: string): boolean => {
    const directory = path.dirname(link)
    const isFixed = plan.hides(directory) || fixed.some((at) => isWithin(directory, at))
    return !isFixed && isWritable(directory)
  }
  const found = written.flatMap(linksTo).find(replaceable)
  if (found === undefined) return
  throw new MaskConflict(
    `${found} is a symbolic link that the command could replace: name what it leads to, ${realPath(found)}`,
  )
}

function mountFacts(plan: MaskPlan): MountFacts {
  const resolvFile = findPlace(RESOLV_FILE)[0]?.path
  return {
    steps: plan.steps,
    devices: DEVICES.filter((name) => existsSync(`/dev/${name}`)),
    terminal: [0, 1, 2].filter((descriptor) => isatty(descriptor)).map(terminalAt)[0],
    frozenProc: FROZEN_PROC.filter((at) => existsSync(at)),
    resolvFile,
    isResolvHidden: resolvFile !== undefined && plan.hides(resolvFile),
  }
}

function terminalAt(descriptor: number): string {
  return realpathSync(`/proc/self/fd/${descriptor}`)
}

/** Where this program is, and what of it must not change under a sidecar that runs. */
function installationOf(programDir: string): { readonly dir: string; readonly parts: string[] } {
  const at = programDir.indexOf('/node_modules/')
  // Among other packages it shares what it needs with them.
  if (at >= 0) {
    const dir = programDir.slice(0, at + '/node_modules'.length)
    return { dir, parts: [dir] }
  }
  return { dir: programDir, parts: PROGRAM_PARTS.map((name) => path.join(programDir, name)) }
}

/**
 * The directory of a file where that is meant to be closed, and nothing that must be seen is in it; otherwise the file. A file
 * that replaces another has no mask of its own, and in a directory that is hidden it needs none.
 */
function closedAround(file: string, openDirs: readonly string[]): string {
  const mode = statOf(path.dirname(realPath(file)))?.mode ?? OTHERS_MODE
  return (mode & OTHERS_MODE) === 0 ? around(file, openDirs) : file
}

/** The directory of a file where nothing that must be seen is in it; otherwise the file. */
function around(file: string, openDirs: readonly string[]): string {
  const parent = path.dirname(realPath(file))
  return parent === '/' || openDirs.some((open) => isWithin(open, parent)) ? file : parent
}

function isLoose(file: string, plan: MaskPlan): boolean {
  const kind = statOf(file)
  return kind?.isSocket() !== true && !plan.hides(path.dirname(file))
}

/** Directories above a path that whoever may write above them could move away, and put another in their place. */
function movableAbove(written: string): string[] {
  const found: string[] = []
  for (let at = path.dirname(realPath(written)); at !== '/'; at = path.dirname(at))
    if (isWritable(path.dirname(at)) && existsSync(at)) found.push(at)
  return found
}

/** The same place by other mounts. */
function othersOf(written: string, mounts: readonly Mount[]): string[] {
  const own = statOf(written)
  if (own === undefined) return []
  return aliasesOf(realPath(written), mounts).filter((alias) => {
    const other = statOf(alias)
    return other?.dev === own.dev && other.ino === own.ino
  })
}

function findPlace(written: string): Place[] {
  const found = statOf(written)
  if (found === undefined) return []
  return [{ path: realpathSync(written), kind: found.isDirectory() ? 'directory' : 'file' }]
}

// What cannot be looked at from here cannot be from inside.
function statOf(written: string): Stats | undefined {
  try {
    return statSync(written)
  } catch {
    return undefined
  }
}

/** The real path, of what is not there as far as there is one. */
function realPath(written: string): string {
  try {
    return realpathSync(written)
  } catch {
    const parent = path.dirname(written)
    return parent === written ? written : path.join(realPath(parent), path.basename(written))
  }
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}
