// What a sandbox sees of the machine's files, as mounts in the order in which they are made: what is hidden, what is shown
// again within it, what can only be read, what cannot be moved away. Pure: works on places as they were found.
// Called by `places.ts`; `mount-script.ts` writes the result as commands.

/** Something in the file system, found by its real path. */
export interface Place {
  /** Absolute, without a symbolic link in it. */
  readonly path: string
  readonly kind: 'directory' | 'file'
}

/** What is to be hidden. */
export interface HiddenPlace extends Place {
  /**
   * `sealed`: empty, and only read; `fresh`: the sandbox's own, which it may write; `shared`: the same, for every user, such
   * as `/tmp`.
   */
  readonly as: 'sealed' | 'fresh' | 'shared'
}

/** What can only be read. */
interface FrozenPlace extends Place {
  /** What its mount is restricted by already, which cannot be taken away: of nosuid, nodev, noexec. */
  readonly flags: readonly string[]
}

/** What a plan is made of. */
export interface MaskWishes {
  readonly hidden: readonly HiddenPlace[]
  /** Shown although what they are in is hidden. */
  readonly kept: readonly Place[]
  readonly frozen: readonly FrozenPlace[]
  /** Directories that must keep their names: what is below them is looked for by its path from outside. */
  readonly pinned: readonly string[]
  readonly workDir: string
}

/** One mount. */
export type MountStep =
  | { readonly kind: 'hide'; readonly place: HiddenPlace }
  | { readonly kind: 'restore'; readonly place: Place }
  | { readonly kind: 'freeze'; readonly place: FrozenPlace }
  | { readonly kind: 'pin'; readonly path: string }
  /** Nothing is written to what was hidden, now that all of it is in place. */
  | { readonly kind: 'seal'; readonly path: string }

/** Mounts in their order, and what comes of them. */
export interface MaskPlan {
  readonly steps: readonly MountStep[]
  /** Whether a path that was there is hidden. @param path real and absolute */
  readonly hides: (path: string) => boolean
}

/** What cannot be had together; the message says it to whoever runs the command. */
export class MaskConflict extends Error {}

/** Plans the mounts. @throws MaskConflict where the working directory, or what clients need, would be hidden */
export function planMasks(wishes: MaskWishes): MaskPlan {
  const { workDir, frozen } = wishes
  const kept = unique([...wishes.kept, { path: workDir, kind: 'directory' }])
  checkWorkDir(wishes)
  // A directory that is wanted as it is stays so, unless there are secrets in it.
  const hidden = unique(wishes.hidden).filter(
    ({ path, as }) => as === 'sealed' || kept.every((place) => place.path !== path),
  )
  for (const { path } of hidden)
    if (kept.some((place) => place.path === path))
      throw new MaskConflict(`${path} holds secrets, and clients need to see it: move one of them`)
  const shown = (path: string): boolean => isShown(path, hidden, kept)
  const hides = hidden.filter(({ path }) => shown(parentOf(path)))
  const restored = kept.filter(({ path }) => !shown(parentOf(path)))
  const fixed = new Set([...hides, ...restored, ...frozen].map(({ path }) => path))
  const steps: MountStep[] = [
    ...unique(frozen)
      .filter(({ path }) => shown(path))
      .map((place): MountStep => ({ kind: 'freeze', place })),
    ...restored.map((place): MountStep => ({ kind: 'restore', place })),
    ...hides.map((place): MountStep => ({ kind: 'hide', place })),
    ...[...new Set(wishes.pinned)]
      .filter((path) => shown(path) && !fixed.has(path))
      .map((path): MountStep => ({ kind: 'pin', path })),
  ]
  const sealed = hides.filter(({ kind, as }) => kind === 'directory' && as === 'sealed')
  return {
    steps: [
      ...steps.toSorted(byDepth),
      ...sealed.map(({ path }): MountStep => ({ kind: 'seal', path })),
    ],
    hides: (path) => !shown(path),
  }
}

/** Whether a path is a directory or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)
}

function checkWorkDir({ hidden, workDir }: MaskWishes): void {
  const around = hidden.find(({ path, as }) => as === 'sealed' && isWithin(workDir, path))
  if (around === undefined) return
  throw new MaskConflict(
    `the working directory ${workDir} is in ${around.path}, which a sandbox does not see: run it elsewhere`,
  )
}

// The nearest of what is hidden and what is kept decides.
function isShown(path: string, hidden: readonly Place[], kept: readonly Place[]): boolean {
  const nearest = (places: readonly Place[]): number =>
    Math.max(-1, ...places.map((place) => (isWithin(path, place.path) ? place.path.length : -1)))
  return nearest(kept) >= nearest(hidden)
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')))
}

// What is above is mounted first, or it would cover what is below; of one place, what shows it before what restricts it.
function byDepth(a: MountStep, b: MountStep): number {
  const order = ['pin', 'hide', 'restore', 'freeze', 'seal']
  return (
    pathOf(a).split('/').length - pathOf(b).split('/').length ||
    order.indexOf(a.kind) - order.indexOf(b.kind)
  )
}

/** The path that a step is about. */
export function pathOf(step: MountStep): string {
  return 'path' in step ? step.path : step.place.path
}

function unique<Any extends Place>(places: readonly Any[]): Any[] {
  return [...new Map(places.map((place) => [place.path, place])).values()]
}
