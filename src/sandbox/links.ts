// Finds the symbolic links by which files are reached: whoever replaces one of them puts another file in force, however well
// what it led to is kept. Decides nothing. Called by `places.ts`.

import { readdirSync, readlinkSync } from 'node:fs'
import path from 'node:path'

// path_resolution(7): the kernel follows as many.
const LINKS_MAX = 40

/** Lists the links on the way to a path, and those on the way to where they lead, each by its real directory. */
export function linksTo(written: string): string[] {
  const links: string[] = []
  let at = '/'
  let rest = namesOf(written)
  while (rest.length > 0 && links.length < LINKS_MAX) {
    const [name = '', ...further] = rest
    const next = path.join(at, name)
    const target = targetOf(next)
    if (target !== undefined) links.push(next)
    rest = target === undefined ? further : [...namesOf(target), ...further]
    if (target === undefined) at = next
    else if (target.startsWith('/')) at = '/'
  }
  return links
}

/** Lists the links in a directory and in what is below it, not what is below where they lead. */
export function linksWithin(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isSymbolicLink())
      .map((entry) => path.join(entry.parentPath, entry.name))
  } catch {
    // Whoever reads it says why it cannot be read.
    return []
  }
}

function namesOf(written: string): string[] {
  return written.split('/').filter((name) => name !== '')
}

function targetOf(at: string): string | undefined {
  try {
    return readlinkSync(at)
  } catch {
    return undefined
  }
}
