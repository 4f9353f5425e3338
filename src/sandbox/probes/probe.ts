// What a probe is, in one type. Data only; implemented by the probes beside, run by `inside.ts`.

import type { Finding } from '../finding.ts'
import type { Surroundings } from './surroundings.ts'

/** One family of ways out, tried. Never throws for what a peer does; bounded by its own time-outs. */
export type Probe = (around: Surroundings) => Promise<readonly Finding[]>
