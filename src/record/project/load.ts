// Loads a form when it is asked for: most sidecars use one, and none pays for the others. Called by the sinks and by
// `sallyport export`.

import type { Format, Projection } from './format.ts'

const LOADERS: Readonly<Record<Format, () => Promise<Projection>>> = {
  ecs: async () => (await import('./ecs.ts')).projectEcs,
  ocsf: async () => (await import('./ocsf.ts')).projectOcsf,
  otlp: async () => (await import('./otlp.ts')).projectOtlp,
  cloudevents: async () => (await import('./cloudevents.ts')).projectCloudEvent,
  'agents-net': async () => (await import('./agents-net.ts')).projectAgentsNet,
}

/** The projection of a form. */
export function projectionFor(format: Format): Promise<Projection> {
  return LOADERS[format]()
}
