// Loads a form when it is asked for: most sidecars use one, and none pays for the others. Called by the sinks and by
// `sallyport export`.

import type { Format, Projection } from './format.ts'

const LOADERS: Readonly<Partial<Record<Format, () => Promise<Projection>>>> = {
  ecs: async () => (await import('./ecs.ts')).projectEcs,
  otlp: async () => (await import('./otlp.ts')).projectOtlp,
}

/** The projection of a form. @throws Error as a rejection where this version has none */
export function projectionFor(format: Format): Promise<Projection> {
  return LOADERS[format]?.() ?? Promise.reject(new Error(`no projection to ${format}`))
}
