// The API of a question that a rule looks at, by the head alone. Unlike a guess for the record it has to hold for every reading
// of the path, and what could be a question and is not understood is said to be so. Called by `understand/`.

import { EgressError } from '../../errors.ts'
import type { PathReadings } from '../../wire/path.ts'
import { recogniseModelApi, type ModelApi, type ModelHead } from './api.ts'
import { refuseBody } from './asked.ts'
import { isModelHost } from './provider.ts'

const MANY = /\/batches\/*$/i

/**
 * The API that a call speaks or may speak; undefined: it surely asks no model.
 * @throws malformed-body where it depends on the reading of the path, protocol-not-allowed for many questions at once and for
 *   what is sent to a provider's own host in another form than JSON
 */
export function recogniseQuestion(
  head: Omit<ModelHead, 'path'> & { readonly path: PathReadings },
): ModelApi | undefined {
  const { method, host, path } = head
  if (method !== 'POST') return undefined
  const api = recogniseModelApi({ ...head, path: path.raw })
  const place = describePlace(api)
  for (const reading of path.readings) {
    const other = recogniseModelApi({ ...head, path: `/${reading.join('/')}` })
    if (describePlace(other) !== place) throw refuseBody('path')
  }
  if (api === undefined && (isModelHost(host) || MANY.test(path.raw)))
    throw new EgressError('protocol-not-allowed')
  return api
}

function describePlace(api: ModelApi | undefined): string {
  return JSON.stringify([api?.basis, api?.family, api?.endpoint, api?.model, api?.isStream])
}
