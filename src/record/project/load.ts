// Loads a form when it is asked for: most sidecars use one, and none pays for the others. Called by the sinks and by
// `sallyport export`.

import type { Projection } from './format.ts'

const LOADERS: Readonly<Record<'ecs' | 'ocsf' | 'otlp', () => Promise<Projection>>> = {
  ecs: async () => (await import('./ecs.ts')).projectEcs,
  ocsf: async () => (await import('./ocsf.ts')).projectOcsf,
  otlp: async () => (await import('./otlp.ts')).projectOtlp,
}

/** The projection of a form. */
export function projectionFor(format: keyof typeof LOADERS): Promise<Projection> {
  return LOADERS[format]()
}
