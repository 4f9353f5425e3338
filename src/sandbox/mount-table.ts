// Reads the kernel's table of mounts (proc(5), mountinfo) as far as it is asked what a place is restricted by. Pure. Called
// by `places.ts`.

import { isWithin } from './masks.ts'

/** One mount. */
export interface Mount {
  readonly at: string
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
      const [, , , , at = '', options = ''] = line.split(' ')
      return { at: unescape(at), options: options.split(',') }
    })
}

/** What the mount that a place is on is restricted by; a later mount covers an earlier one. */
export function flagsAt(path: string, mounts: readonly Mount[]): string[] {
  let found: Mount | undefined
  for (const mount of mounts)
    if (isWithin(path, mount.at) && mount.at.length >= (found?.at.length ?? 0)) found = mount
  return LOCKED.filter((flag) => found?.options.includes(flag))
}

/** Space, tab, newline and backslash are written in octal. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 8)),
  )
}
