// A record without secrets: everything in it that strangers choose goes through the redactor before it is text. What operators
// wrote (tasks, rules, names of credentials) is theirs, but holds no known secret either. Pure. Called by `batch.ts` for every
// record that is appended; the two of most calls are made redacted by `call-text.ts`.

import type { Redactor } from '../inspect/redactor.ts'
import type { RecordBody, RecordTask } from './body.ts'
import { redactUrl } from './url.ts'

type Redact = (text: string) => string

/** Records whose detail is the sidecar's own word, most of it digests and signatures: nobody else has a say in them. */
const OWN_DETAIL: ReadonlySet<string> = new Set(['checkpoint-key', 'journal-segments-deleted'])
/** Members of a `self-check` that prove it. */
const PROOF: ReadonlySet<string> = new Set(['key', 'signature'])
// What a pattern for numbers or dates would spoil, and nobody's secret.
const DIGEST_OR_TIME = /^(?:sha256:[0-9a-f]{64}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)$/

const tasks = new WeakMap<RecordTask, RecordTask>()

/** Takes all secrets out of a record; the record itself where there are none. */
export function redactRecord(record: RecordBody, redactor: Redactor): RecordBody {
  const { message, destination, url, http, tls, user_agent: agent, sallyport } = record
  const { gen_ai, mcp, jsonrpc, rpc, error, trace, span, dns } = record
  const taskId = sallyport.task?.id
  const text: Redact = (each) => redactor.text(each, taskId)
  return {
    ...record,
    message: message === undefined ? undefined : text(message),
    destination:
      destination?.domain === undefined
        ? destination
        : { ...destination, domain: text(destination.domain) },
    url: url === undefined ? undefined : redactUrl(url, redactor, taskId),
    http: http && redactHttp(http, text),
    tls: redactDeep(tls, text),
    user_agent: agent && { original: text(agent.original) },
    ...(gen_ai && { gen_ai: redactModel(gen_ai, redactor, taskId) }),
    ...(mcp && { mcp: redactMcp(mcp, redactor, taskId) }),
    ...(jsonrpc && { jsonrpc: redactDeep(jsonrpc, text) }),
    ...(rpc && { rpc: redactDeep(rpc, text) }),
    ...(error && { error: redactDeep(error, text) }),
    ...(trace && { trace: redactDeep(trace, text) }),
    ...(span && { span: redactDeep(span, text) }),
    ...(dns && { dns: redactDeep(dns, text) }),
    sallyport: redactOwn(sallyport, record.event.action, redactor, text),
  }
}

function redactHttp(
  { version, request, response }: NonNullable<RecordBody['http']>,
  text: Redact,
): NonNullable<RecordBody['http']> {
  const type = response?.mime_type
  return {
    version: text(version),
    request: { ...request, method: text(request.method) },
    response: type === undefined ? response : { ...response!, mime_type: text(type) },
  }
}

/** A task without known secrets: one object for one object, so that its text is made once. */
export function redactTask(task: RecordTask, redactor: Redactor): RecordTask {
  let redacted = tasks.get(task)
  if (redacted === undefined) {
    redacted = redactDeep(task, (text) => redactor.known(text, undefined))
    tasks.set(task, redacted)
  }
  return redacted
}

/** A value with every text in it redacted, names of members too; the value itself where nothing is. */
export function redactDeep<Value>(value: Value, redact: Redact): Value
export function redactDeep(value: unknown, redact: Redact): unknown {
  if (typeof value === 'string') return redact(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => redactDeep(item, redact))
    return items.every((item, at) => item === value[at]) ? value : items
  }
  const members = Object.entries(value)
  const redacted = members.map(([name, item]): [string, unknown] => [
    redact(name),
    redactDeep(item, redact),
  ])
  const isSame = redacted.every(([name, item], at) => {
    const [nameBefore, itemBefore] = members[at] ?? []
    return name === nameBefore && item === itemBefore
  })
  return isSame ? value : Object.fromEntries(redacted)
}

function redactOwn(
  own: RecordBody['sallyport'],
  action: string,
  redactor: Redactor,
  text: Redact,
): RecordBody['sallyport'] {
  const { task, headers, content, upstream, detection, detail } = own
  const ours = sparingOurs(redactor, text)
  return {
    ...own,
    task: task === undefined ? undefined : redactTask(task, redactor),
    ...(headers && { headers: redactDeep(headers, text) }),
    ...(content && { content: redactDeep(content, ours) }),
    upstream: redactDeep(upstream, text),
    ...(detection && { detection: redactDeep(detection, text) }),
    detail: detail && redactDetail(detail, action, redactor, text),
  }
}

function sparingOurs(redactor: Redactor, text: Redact): Redact {
  return (each) => (DIGEST_OR_TIME.test(each) ? redactor.values(each) : text(each))
}

/**
 * The details of a record without secrets. A receipt is signed as it is: only what no record may have goes before that.
 * @param action of the record
 * @param redact what takes secrets out of one text
 */
export function redactDetail(
  detail: NonNullable<RecordBody['sallyport']['detail']>,
  action: string,
  redactor: Redactor,
  redact: Redact,
): RecordBody['sallyport']['detail'] {
  if (OWN_DETAIL.has(action)) return detail
  const text = sparingOurs(redactor, redact)
  const known: Redact = (each) => redactor.known(each, undefined)
  // The names are the sidecar's.
  const members = Object.entries(detail).map(([name, value]): [string, unknown] => {
    if (action === 'self-check' && PROOF.has(name)) return [name, value]
    return [name, redactDeep(value, name === 'receipt' ? known : text)]
  })
  return Object.fromEntries(members)
}

// What was said is kept as the record's mode says: here only what no mode keeps is taken out.
function redactModel(
  model: NonNullable<RecordBody['gen_ai']>,
  redactor: Redactor,
  taskId: string | undefined,
): NonNullable<RecordBody['gen_ai']> {
  const { input, output, tool, ...named } = model
  const text: Redact = (each) => redactor.text(each, taskId)
  const said: Redact = (each) => redactor.known(each, taskId)
  return {
    ...redactDeep(named, text),
    ...(tool && {
      tool: {
        ...tool,
        name: text(tool.name),
        ...(tool.call && {
          call: {
            ...redactDeep(tool.call, said),
            ...(tool.call.id !== undefined && { id: text(tool.call.id) }),
          },
        }),
      },
    }),
    ...(input && { input: redactDeep(input, said) }),
    ...(output && { output: redactDeep(output, said) }),
  }
}

function redactMcp(
  mcp: NonNullable<RecordBody['mcp']>,
  redactor: Redactor,
  taskId: string | undefined,
): NonNullable<RecordBody['mcp']> {
  const { resource, ...named } = mcp
  return {
    ...redactDeep(named, (text) => redactor.text(text, taskId)),
    ...(resource && { resource: { uri: redactor.uri(resource.uri, taskId) } }),
  }
}
