// The stage understood: reads what a rule looks into and asks the rules again with it. Where no rule looks inside, questions to
// models and what clients say by MCP are read for the record as they flow by. What does the reading is loaded by the first call
// that needs it. Called by `pipeline.ts`.

import type { ClientSide } from '../call.ts'
import type { Verdict } from '../judge.ts'
import type { Inspector } from '../policy/subject.ts'
import type { Parts } from '../stages.ts'
import type { Body } from '../wire/body.ts'
import { recogniseApi, recogniseUpgrade, saysMcp } from './heads.ts'
import type { Screened } from './inspection.ts'
import type * as Inside from './inside.ts'
import type * as Taps from './taps.ts'

let inside: typeof Inside | undefined
let taps: typeof Taps | undefined

/**
 * Reads a call as far as rules or records need.
 * @returns the decision on what was read; undefined where the head's stands
 */
export function understand(
  { call, verdict }: { readonly call: Screened; readonly verdict: Verdict },
  client: ClientSide,
  parts: Parts,
): Promise<Verdict> | undefined {
  const { decision } = verdict
  if (decision.verdict === 'deny') return undefined
  if (decision.inspectors !== undefined) return lookInside(call, decision.inspectors, client, parts)
  // What waits for a person is read once it is there.
  if (decision.verdict === 'hold') return undefined
  const tap = chooseTap(call, client.body)
  if (tap === undefined) return undefined
  if (taps === undefined) return tapLater(tap, call, verdict, client, parts)
  tap(taps, call, client.body, parts)
  return undefined
}

/** Prepares to read for the record what passes of an upgraded connection, where somebody knows what it is. */
export async function understandUpgrade(call: Screened, parts: Parts): Promise<void> {
  const api = recogniseUpgrade(call.request)
  if (api === undefined) return
  taps ??= await import('./taps.ts')
  taps.tapRealtimeCall(api, call, parts)
}

/** Reads for the record what a held call says, once its body is there; nothing of it flows before. */
export async function watchHeld(call: Screened, body: Body, parts: Parts): Promise<void> {
  const tap = chooseTap(call, body)
  if (tap === undefined) return
  taps ??= await import('./taps.ts')
  tap(taps, call, body, parts)
}

async function lookInside(
  call: Screened,
  inspectors: readonly Inspector[],
  client: ClientSide,
  parts: Parts,
): Promise<Verdict> {
  // Asking for the import again would cost each call a turn and more.
  inside ??= await import('./inside.ts')
  return inside.readInside(call, inspectors, client, parts)
}

type Tap = (loaded: typeof Taps, call: Screened, body: ClientSide['body'], parts: Parts) => void

// A body that says nothing to anybody costs a look at its head.
function chooseTap(call: Screened, body: Body): Tap | undefined {
  if (call.request.method !== 'POST' || body.length === 0) return undefined
  const api = recogniseApi(call.request)
  const isMcp = saysMcp(call.request)
  if (api && (api.basis === 'path' || !isMcp))
    return ({ tapModelCall }, ...given) => tapModelCall(api, ...given)
  return isMcp ? ({ tapMcpCall }, ...given) => tapMcpCall(...given) : undefined
}

async function tapLater(
  tap: Tap,
  call: Screened,
  verdict: Verdict,
  client: ClientSide,
  parts: Parts,
): Promise<Verdict> {
  taps = await import('./taps.ts')
  tap(taps, call, client.body, parts)
  return verdict
}
