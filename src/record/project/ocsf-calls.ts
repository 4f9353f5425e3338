// Calls and tunnels as OCSF events: HTTP Activity; Network Activity where nothing was looked into; DNS Activity where a name
// led nowhere; Authentication where whose call it is was not proved; API Activity for questions to a model. Pure. Called by
// `ocsf.ts`.

import type { Origin } from './format.ts'
import { compact, countAt, textAt, valueAt, type JsonObject } from './members.ts'
import {
  actorOf,
  destinationOf,
  isHostName,
  networkMembers,
  requestOf,
  responseOf,
  sourceOf,
  traceOf,
  userOf,
} from './ocsf-objects.ts'
import { CLASSES, HTTP_ACTIVITIES, type Activity, type OcsfPart } from './ocsf-words.ts'

// In the order of their numbers.
const RCODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED']
const RCODE_CAPTIONS = ['NoError', 'FormError', 'ServError', 'NXDomain', 'NotImp', 'Refused']

// Whose call it is was asked, and the answer was no.
const UNPROVED: ReadonlySet<string> = new Set([
  'identity-missing',
  'identity-unknown',
  'identity-shared',
  'attestation-failed',
  'unknown-client',
])

/** The record of a call. */
export function callPart(record: unknown, action: string, origin: Origin): OcsfPart {
  const reason = textAt(record, 'event', 'reason') ?? ''
  const kind = textAt(record, 'sallyport', 'call', 'kind')
  const name = textAt(record, 'destination', 'domain')
  if (action === 'call-denied' && UNPROVED.has(reason)) return authenticationPart(record)
  const isLookup = reason === 'resolve-failed' || reason === 'resolved-address-denied'
  if (isLookup && name !== undefined) return lookupPart(record, reason, name, origin)
  if (valueAt(record, 'gen_ai') !== undefined) return modelPart(record)
  const isLookedInto = textAt(record, 'sallyport', 'inspection') === 'connect'
  if (kind === undefined || (kind === 'tunnel' && !isLookedInto))
    return tunnelPart(record, action, reason, origin)
  return httpPart(record, kind === 'tunnel', origin)
}

function httpPart(record: unknown, isTunnel: boolean, origin: Origin): OcsfPart {
  const request = requestOf(record)
  return {
    of: CLASSES.http,
    activity: isTunnel ? 1 : methodActivity(record),
    members: {
      ...networkMembers(record, origin),
      actor: actorOf(record),
      http_request: isTunnel ? { ...request, http_method: 'CONNECT' } : (request ?? {}),
      http_response: responseOf(record),
      trace: traceOf(record),
    },
  }
}

function methodActivity(record: unknown): Activity {
  const method = textAt(record, 'http', 'request', 'method')
  return method === undefined ? 0 : (HTTP_ACTIVITIES.get(method) ?? method)
}

// Reasons with which an allowed tunnel ends as tunnels do.
const CLOSED: ReadonlySet<string> = new Set(['allowed', 'task-ended-midway', 'idle-timeout'])
const RESET: ReadonlySet<string> = new Set(['client-gone', 'upstream-gone', 'sidecar-crashed'])

function tunnelPart(record: unknown, action: string, reason: string, origin: Origin): OcsfPart {
  return {
    of: CLASSES.network,
    activity: tunnelActivity(action, reason),
    members: { ...networkMembers(record, origin), actor: actorOf(record) },
  }
}

function tunnelActivity(action: string, reason: string): Activity {
  if (action === 'call-started') return 1
  if (action === 'call-progress') return 6
  if (action !== 'call-ended') return 5
  if (CLOSED.has(reason)) return 2
  return RESET.has(reason) ? 3 : 4
}

function lookupPart(record: unknown, reason: string, name: string, origin: Origin): OcsfPart {
  const { proxy_tls: _, traffic: __, tls: ___, ...network } = networkMembers(record, origin)
  const isAnswered = reason === 'resolved-address-denied'
  return {
    of: CLASSES.dns,
    activity: isAnswered ? 2 : 1,
    members: {
      ...network,
      actor: actorOf(record),
      query: isHostName(name) ? { hostname: name } : undefined,
      rcode_id: isAnswered ? 0 : undefined,
      rcode: isAnswered ? 'NoError' : undefined,
    },
  }
}

/** The record of a DNS query that was refused, or of many: no connection is made for it, whatever it is carried by. */
export function queryPart(record: unknown, action: string, origin: Origin): OcsfPart {
  const { connection_info: _, ...network } = networkMembers(record, origin)
  const name = textAt(record, 'dns', 'question', 'name') ?? ''
  const code = textAt(record, 'dns', 'response_code')
  const number = RCODES.indexOf(code ?? '')
  return {
    of: CLASSES.dns,
    activity: action === 'dns-denied' ? 1 : 6,
    members: {
      ...network,
      actor: actorOf(record),
      query: isHostName(name)
        ? compact({
            hostname: name,
            type: textAt(record, 'dns', 'question', 'type'),
            class: textAt(record, 'dns', 'question', 'class'),
          })
        : undefined,
      rcode_id: number < 0 ? undefined : number,
      rcode: number < 0 ? undefined : RCODE_CAPTIONS[number],
    },
  }
}

function authenticationPart(record: unknown): OcsfPart {
  return {
    of: CLASSES.authentication,
    activity: 1,
    members: {
      actor: actorOf(record),
      user: userOf(record) ?? { name: 'unknown' },
      src_endpoint: sourceOf(record),
      dst_endpoint: destinationOf(record),
      service: { name: 'sallyport' },
      http_request: requestOf(record),
      is_remote: true,
      session: compact({ uid: textAt(record, 'sallyport', 'task', 'id') }),
    },
  }
}

function modelPart(record: unknown): OcsfPart {
  const operation = textAt(record, 'gen_ai', 'operation', 'name') ?? 'unknown'
  const host = textAt(record, 'destination', 'domain') ?? textAt(record, 'destination', 'ip')
  return {
    of: CLASSES.api,
    activity: operation,
    members: {
      actor: actorOf(record) ?? { app_name: 'unknown' },
      api: {
        operation,
        ...compact({
          service: host === undefined ? undefined : { name: host },
          request: compact({ uid: textAt(record, 'sallyport', 'call', 'id') }),
        }),
      },
      src_endpoint: sourceOf(record),
      dst_endpoint: destinationOf(record),
      http_request: requestOf(record),
      http_response: responseOf(record),
      trace: traceOf(record),
      ai_model: modelOf(record),
      message_context: tokensOf(record, host),
    },
  }
}

function modelOf(record: unknown): JsonObject | undefined {
  const name =
    textAt(record, 'gen_ai', 'response', 'model') ?? textAt(record, 'gen_ai', 'request', 'model')
  const provider = textAt(record, 'gen_ai', 'provider', 'name')
  // The schema demands both.
  return name === undefined || provider === undefined ? undefined : { name, ai_provider: provider }
}

function tokensOf(record: unknown, host: string | undefined): JsonObject | undefined {
  const asked = countAt(record, 'gen_ai', 'usage', 'input_tokens')
  const answered = countAt(record, 'gen_ai', 'usage', 'output_tokens')
  if (host === undefined || (asked === undefined && answered === undefined)) return undefined
  return compact({
    ai_role_id: 2,
    ai_role: 'Assistant',
    service: { name: host },
    prompt_tokens: asked,
    completion_tokens: answered,
    total_tokens: (asked ?? 0) + (answered ?? 0),
  })
}
