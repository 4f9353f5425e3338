// The grammar of `profiles:`, by name, and what becomes of it: profiles that are defined, or built-in ones that are made
// stricter, never looser. Pure; `schema.ts` reads it, `cross-check.ts` asks what is wrong, `resolve.ts` makes the profiles.

import { z } from 'zod'

import {
  BUILT_IN_PROFILES,
  PROFILE_DATA_MIN,
  PROFILE_LIFETIME_MS,
  type Profile,
  type Profiles,
} from '../policy/profiles.ts'
import { names } from '../policy/scalars.ts'
import { duration } from '../tasks/scalars.ts'
import { isAbove } from '../policy/facts.ts'
import { DATA_CLASSES, type DataClass } from '../tasks/task.ts'
import { formatDuration } from '../wire/units.ts'
import type { ReportProblem } from './report-problem.ts'

/** One profile as it is written; what is not there is as it is built in, or as it is for all. */
interface ProfileSection {
  /** Milliseconds. */
  readonly lifetime?: number | undefined
  readonly data?: DataClass | undefined
  readonly category?: readonly string[] | undefined
  readonly regulation?: readonly string[] | undefined
}

/** Profiles by name, as they are written. */
export type ProfileSections = Readonly<Record<string, ProfileSection>>

/** The section. */
export const profilesSchema: z.ZodType<ProfileSections> = z
  .record(
    z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, {
      error: 'expected lower-case letters, digits and - only, 63 at the most',
    }),
    z.strictObject({
      lifetime: duration.optional().describe('How long tasks live at the most; default: 1h.'),
      data: z
        .enum(DATA_CLASSES)
        .optional()
        .describe('The lowest class that a rule may name: confidential or restricted.'),
      category: names.optional().describe('Every rule names all of them.'),
      regulation: names.optional().describe('Every rule names all of them.'),
    }),
  )
  .prefault({})
  .describe('What rules with `profile: NAME` have to be; built-in ones can be made stricter.')

/** Reports profiles that would be looser than what they stand on. */
export function checkProfiles(profiles: ProfileSections, report: ReportProblem): void {
  for (const [name, { lifetime, data }] of Object.entries(profiles)) {
    const base = BUILT_IN_PROFILES.get(name)
    const lifetimeMsMax = base?.lifetimeMs
    if (lifetimeMsMax !== undefined && lifetime !== undefined && lifetime > lifetimeMsMax)
      report(
        ['profiles', name, 'lifetime'],
        'limit-exceeded',
        `\`profiles.${name}.lifetime\` is above the built-in ${formatDuration(lifetimeMsMax)}`,
        'a built-in profile can only be made stricter: define one of another name',
      )
    const dataMin = base?.data ?? PROFILE_DATA_MIN
    if (data !== undefined && isAbove(dataMin, data))
      report(
        ['profiles', name, 'data'],
        'invalid-value',
        `\`profiles.${name}.data\` is below ${dataMin}`,
        base === undefined
          ? 'what is regulated is confidential at the least'
          : 'a built-in profile can only be made stricter',
      )
  }
}

/** Puts the written profiles and the built-in ones together: of both the stricter counts. */
export function resolveProfiles(written: ProfileSections): Profiles {
  const profiles = new Map(BUILT_IN_PROFILES)
  for (const [name, section] of Object.entries(written))
    profiles.set(name, resolveProfile(name, section, BUILT_IN_PROFILES.get(name)))
  return profiles
}

function resolveProfile(
  name: string,
  { lifetime, data, category = [], regulation = [] }: ProfileSection,
  base: Profile | undefined,
): Profile {
  return {
    name,
    lifetimeMs: lifetime ?? base?.lifetimeMs ?? PROFILE_LIFETIME_MS,
    data: data ?? base?.data ?? PROFILE_DATA_MIN,
    category: union(base?.category ?? [], category),
    regulation: union(base?.regulation ?? [], regulation),
  }
}

function union(one: readonly string[], other: readonly string[]): readonly string[] {
  return [...new Set([...one, ...other])].toSorted()
}
