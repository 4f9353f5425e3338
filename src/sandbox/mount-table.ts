// Reads the kernel's table of mounts (proc(5), mountinfo) as far as it is asked what a place is restricted by, and where else
// it is seen. Pure. Called by `places.ts`.

import { isWithin } from './masks.ts'

/** One mount. */
export interface Mount {
  readonly at: string
  /** Major and minor number of its file system. */
  readonly device: string
  /** What of its file system is seen there. */
  readonly root: string
  readonly options: readonly string[]
}

/** What a namespace that was given a mount cannot take away from it again. */
const LOCKED = ['nosuid', 'nodev', 'noexec']

/** Reads the table. */
export function readMounts(text: string): Mount[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, , device = '', root = '', at = '', options = ''] = line.split(' ')
      return { at: unescape(at), device, root: unescape(root), options: options.split(',') }
    })
}

/** What the mount that a place is on is restricted by. */
export function flagsAt(path: string, mounts: readonly Mount[]): string[] {
  const found = mountOf(path, mounts)
  return LOCKED.filter((flag) => found?.options.includes(flag))
}

/** Where else a place is by other mounts of its file system, unless something covers it there. */
export function aliasesOf(path: string, mounts: readonly Mount[]): string[] {
  const own = mountOf(path, mounts)
  if (own === undefined) return []
  const inner = join(own.root, below(path, own.at))
  return mounts
    .filter((mount) => mount.device === own.device && isWithin(inner, mount.root))
    .map((mount) => join(mount.at, below(inner, mount.root)))
    .filter((alias) => alias !== path)
}

/** A later mount covers an earlier one. */
function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  let found: Mount | undefined
  for (const mount of mounts)
    if (isWithin(path, mount.at) && mount.at.length >= (found?.at.length ?? 0)) found = mount
  return found
}

/** What of a path is below a directory that it is within: nothing, or with a slash in front. */
function below(path: string, directory: string): string {
  return directory === '/' ? path : path.slice(directory.length)
}

function join(directory: string, rest: string): string {
  if (rest === '' || rest === '/') return directory
  return directory === '/' ? rest : `${directory}${rest}`
}

/** Space, tab, newline and backslash are written in octal. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 8)),
  )
}
