// The paths that were seen of one host and method, as the fewest patterns that are not wider than what was seen: a segment that
// is an id stands as `*` only where three different ones were seen in its place, all else being equal. Pure. Called by
// `rules.ts`.

/** Different ids that have to be seen in one place before any will do. */
const IDS_MIN = 3

// What generators of ids make. A word is none, however often it changes.
const KINDS: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['number', /^\d{1,40}$/],
  ['uuid', /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i],
  ['ulid', /^[0-7][0-9a-hjkmnp-tv-z]{25}$/i],
  ['hash', /^(?=[a-f]*\d)[0-9a-f]{7,128}$/],
]

/** A pattern, and how many paths it stands for. */
export interface SeenPattern {
  readonly text: string
  /** Paths that were seen; 1 for a path as it is. */
  readonly paths: number
}

/**
 * Puts paths together.
 * @param paths in normal form: `/`, or segments behind slashes
 * @returns patterns in the order of their texts
 */
export function generalizePaths(paths: readonly string[]): SeenPattern[] {
  const shapes = new Map<string, string[][]>()
  for (const path of new Set(paths)) {
    const segments = path.split('/')
    const shape = segments.map((segment) => kindOf(segment) ?? `=${segment}`).join('/')
    const same = shapes.get(shape)
    if (same === undefined) shapes.set(shape, [segments])
    else same.push(segments)
  }
  return [...shapes.values()]
    .flatMap(generalizeShape)
    .toSorted((one, other) => (one.text < other.text ? -1 : 1))
}

function kindOf(segment: string): string | undefined {
  return KINDS.find(([, pattern]) => pattern.test(segment))?.[0]
}

// What stays as it is tells groups apart, and each group has to show enough by itself: so the places of most values go first,
// and what a group does not show stays as it is there.
function generalizeShape(same: readonly (readonly string[])[]): SeenPattern[] {
  const [first = []] = same
  const places = first
    .flatMap((segment, at) => (kindOf(segment) === undefined ? [] : [at]))
    .filter((at) => new Set(same.map((segments) => segments[at])).size >= IDS_MIN)
  return split(same, places)
}

function split(same: readonly (readonly string[])[], places: readonly number[]): SeenPattern[] {
  const groups = new Map<string, (readonly string[])[]>()
  for (const segments of same) {
    const text = segments.map((segment, at) => (places.includes(at) ? '*' : segment)).join('/')
    const group = groups.get(text)
    if (group === undefined) groups.set(text, [segments])
    else group.push(segments)
  }
  return [...groups].flatMap(([text, group]): SeenPattern[] => {
    const shown = places.filter((at) => new Set(group.map((each) => each[at])).size >= IDS_MIN)
    return shown.length === places.length ? [{ text, paths: group.length }] : split(group, shown)
  })
}
