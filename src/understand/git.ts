// git over HTTPS: what a request asks of a repository, by its head, and of a push by as much of its body as tells its updates.
// Refused in git's own words. Called by `inside.ts`.

import type { Inspection, UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import { boundPush } from '../inspect/git/bounds.ts'
import { describeGit } from '../inspect/git/fields.ts'
import { limitPack } from '../inspect/git/limit.ts'
import { PushReader, type Push } from '../inspect/git/push.ts'
import { refuseGit } from '../inspect/git/refusal.ts'
import { recogniseGit, resemblesGit, type GitRequest } from '../inspect/git/request.ts'
import { drainBody, readUntil, replayBody } from '../inspect/whole-body.ts'
import { judge, type Verdict } from '../judge.ts'
import type { Content } from '../policy/subject.ts'
import { isSent, type Parts } from '../stages.ts'
import { overBody, type Body } from '../wire/body.ts'
import type { CanonicalRequest } from '../wire/receive.ts'
import { makeInspection, readFault, renewRules, type Reading, type Screened } from './inspection.ts'

/** What git a request is; undefined where it is none. @throws protocol-not-allowed where a server might take it for one */
export function recogniseGitCall(request: CanonicalRequest): GitRequest | undefined {
  const { method, path, query, headers } = request
  const head = { method, path: path.raw, query, headers }
  const git = recogniseGit(head)
  if (git === undefined && resemblesGit(head)) throw new EgressError('protocol-not-allowed')
  return git
}

/** Reads one request of git and asks the rules about it. */
export async function readGit(
  call: Screened,
  request: GitRequest,
  body: Body,
  parts: Parts,
): Promise<Reading> {
  if (request.step === 'push') return readPush(call, request, body, parts)
  const git = { repo: request.repo, service: request.service, commands: [] }
  call.inspected = describeGit(git)
  return { content: { git }, inspection: makeGitInspection(call, request, { body }) }
}

async function readPush(
  call: Screened,
  request: GitRequest,
  source: Body,
  parts: Parts,
): Promise<Reading> {
  const reader = new PushReader(request, boundPush(parts.limits))
  const chunks: Uint8Array[] = []
  const keep = (chunk: Uint8Array): void => {
    parts.shares.hold(call, chunk.length)
    chunks.push(chunk)
  }
  const push = await readCommands(reader, source, keep)
  // Whoever breaks the push off must not break off what the client sends: it reads no answer before all of that has gone out.
  const body: Body = { ...replayBody(chunks, source), abort: () => undefined }
  const awaitReader = (): Promise<void> =>
    drainBody(source, parts.limits.refusedPushBytesMax).catch(() => undefined)
  if (push instanceof EgressError)
    return readFault(push, makeGitInspection(call, request, { body, awaitReader }))
  renewRules(call, parts)
  call.inspected = describeGit(push.subject, push.options)
  const content = contentOf(push)
  const bounded = boundPack(body, push, judge(call.identity, call.request, content))
  const sending = watchSending(call, bounded.body)
  const filterResponse = async (response: UpstreamResponse): Promise<UpstreamResponse> => {
    // The head of an answer comes before the pack is sent, and behind it nothing can be refused any more.
    await Promise.race([sending.sent, response.body.wait()])
    return response
  }
  const fields = { body: sending.body, awaitReader, filterResponse }
  return {
    content,
    inspection: makeGitInspection(call, request, fields, push),
    verdict: bounded.verdict,
  }
}

// What an option makes a server do, such as merging elsewhere, no rule can say: only one that does not look inside lets it pass.
function contentOf({ subject, options }: Push): Content {
  return options.length === 0 ? { git: subject } : { fault: 'operation-not-allowed' }
}

// Tells when the last byte of a body was read, or what broke it off.
function watchSending(
  call: Screened,
  body: Body,
): { readonly body: Body; readonly sent: Promise<void> } {
  const { promise: sent, resolve, reject } = Promise.withResolvers<void>()
  sent.catch(() => undefined)
  call.onCut(() => reject(new EgressError(call.cutReason ?? 'internal')))
  const watched = overBody(body, () => {
    try {
      const chunk = body.read()
      if (chunk === null) resolve()
      return chunk
    } catch (error) {
      reject(error instanceof Error ? error : new EgressError('internal'))
      throw error
    }
  })
  return { body: watched, sent }
}

// What was wrong with the push itself is returned; what broke its body off is thrown.
async function readCommands(
  reader: PushReader,
  body: Body,
  keep: (chunk: Uint8Array) => void,
): Promise<Push | EgressError> {
  let push: Push | 'more' = 'more'
  try {
    await readUntil(body, (chunk) => {
      keep(chunk)
      push = reader.push(chunk)
      return push === 'more'
    })
    return push === 'more' ? reader.end() : push
  } catch (error) {
    if (error instanceof EgressError && isSent(error.reason)) return error
    throw error
  }
}

function boundPack(
  body: Body,
  push: Push,
  verdict: Verdict,
): { readonly body: Body; readonly verdict: Verdict } {
  const { decision } = verdict
  if (decision.verdict === 'deny') return { body, verdict }
  try {
    return {
      body: limitPack(body, push, decision.obligations.maxPackBytes ?? Infinity),
      verdict,
    }
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    const { reason, detail } = error
    return {
      body,
      verdict: { ...verdict, decision: { ...decision, verdict: 'deny', reason }, detail },
    }
  }
}

function makeGitInspection(
  call: Screened,
  request: GitRequest,
  fields: Pick<Inspection, 'body'> & Partial<Pick<Inspection, 'awaitReader' | 'filterResponse'>>,
  push?: Push,
): Inspection {
  return makeInspection({
    ...fields,
    writeRefusal: (reason) => {
      const refusedRefs = push && findRefused(call, push)
      const context = { callId: call.id, ...(refusedRefs && { refusedRefs }) }
      return { statusText: `Sallyport: ${reason}`, ...refuseGit(request, push, reason, context) }
    },
  })
}

// Those updates that would be refused also by themselves; where it is none of them, all.
function findRefused(call: Screened, { subject }: Push): ReadonlySet<string> | undefined {
  const refused = subject.commands.filter((command) => {
    const git = { ...subject, commands: [command] }
    return judge(call.identity, call.request, { git }).decision.verdict === 'deny'
  })
  return refused.length === 0 ? undefined : new Set(refused.map(({ ref }) => ref))
}
