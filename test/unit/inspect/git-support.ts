// What the tests of git share: the real client in directories of its own, a server that is git's http-backend behind this
// room's judgement, and packs made by hand.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { deflateSync } from 'node:zlib'

import { EgressError, type Reason } from '../../../src/errors.ts'
import { PUSH_BOUNDS } from '../../../src/inspect/git/bounds.ts'
import { FLUSH, formatPktLine } from '../../../src/inspect/git/pkt-line.ts'
import { PushReader, type Push } from '../../../src/inspect/git/push.ts'
import type { GitRefusal } from '../../../src/inspect/git/refusal.ts'
import { recogniseGit, type GitRequest } from '../../../src/inspect/git/request.ts'
import { gitBackend } from '../../fixtures/git-upstream.ts'

export const BACKEND: string = gitBackend() ?? ''
export const PUSH_REQUEST: GitRequest = {
  repo: 'acme/widgets',
  service: 'receive-pack',
  step: 'push',
}

const GIT_ENV = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.com',
  LC_ALL: 'C',
}

/** What a command said. */
interface Ran {
  readonly status: number
  readonly stdout: string
  /** Without trailing blanks, which git pads lines of the server with. */
  readonly stderr: string
}

/** One request as it arrived, and what it was taken for. */
export interface Seen {
  readonly request: GitRequest | undefined
  readonly method: string
  readonly url: string
  readonly headers: readonly string[]
  readonly body: Buffer
}

/** A directory with a bare repository that is served, and a place for clones. */
export interface Desk {
  readonly root: string
  readonly url: string
  readonly seen: Seen[]
  /** Says which requests are refused; undefined: it goes on to git's server. */
  judge: (seen: Seen) => GitRefusal | undefined
  git(...words: string[]): Promise<Ran>
  /** Fails where git does. */
  run(...words: string[]): Promise<string>
  /** Adds a commit to a clone. */
  commit(clone: string, name: string, content?: string): Promise<string>
  /** The body of the last push. */
  lastPush(): Buffer
  close(): Promise<void>
}

/** @param format of all repositories */
export async function openDesk(format: 'sha1' | 'sha256' = 'sha1'): Promise<Desk> {
  const root = await mkdtemp(path.join(tmpdir(), 'sallyport-git-'))
  const seen: Seen[] = []
  const git = (...words: string[]): Promise<Ran> => runGit(root, words)
  const run = async (...words: string[]): Promise<string> => {
    const { status, stdout, stderr } = await git(...words)
    if (status !== 0) throw new Error(`git ${words.join(' ')}: ${stderr}`)
    return stdout.trim()
  }
  await run('init', '-q', '--bare', `--object-format=${format}`, '-b', 'main', 'acme/widgets.git')
  for (const setting of [
    'http.receivepack',
    'receive.advertisePushOptions',
    'uploadpack.allowFilter',
  ])
    await run('-C', 'acme/widgets.git', 'config', setting, 'true')
  const server = createServer((request, response) => {
    void serve(request, response)
  })
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const one = see(request, await buffer(request))
    seen.push(one)
    const refusal = desk.judge(one)
    if (refusal) response.writeHead(refusal.status, [...refusal.headers]).end(refusal.body)
    else runBackend(root, one, response)
  }
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const desk: Desk = {
    root,
    url: `http://127.0.0.1:${address.port}/acme/widgets.git`,
    seen,
    judge: () => undefined,
    git,
    run,
    commit: async (clone, name, content = name) => {
      await writeFile(path.join(root, clone, name), content)
      await run('-C', clone, 'add', '.')
      await run('-C', clone, 'commit', '-q', '-m', `adds ${name}`)
      return run('-C', clone, 'rev-parse', 'HEAD')
    },
    lastPush: () => {
      const push = seen.findLast(({ request, body }) => request?.step === 'push' && body.length > 4)
      if (!push) throw new Error('no push was seen')
      return push.body
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
      await rm(root, { recursive: true, force: true })
    },
  }
  return desk
}

/** A clone `work` with one commit on `main` that was pushed. */
export async function cloneWithCommit(
  desk: Desk,
  format: 'sha1' | 'sha256' = 'sha1',
): Promise<void> {
  await desk.run('init', '-q', `--object-format=${format}`, '-b', 'main', 'work')
  await desk.run('-C', 'work', 'remote', 'add', 'origin', desk.url)
  await desk.commit('work', 'first')
  await desk.run('-C', 'work', 'push', '-q', 'origin', 'main')
}

/** Reads a body in pieces of so many bytes. */
export function readPush(
  body: Buffer,
  pieceBytes: number = body.length,
  bounds: Partial<typeof PUSH_BOUNDS> = {},
): Push {
  const reader = new PushReader(PUSH_REQUEST, { ...PUSH_BOUNDS, ...bounds })
  for (let at = 0; at < body.length; at += pieceBytes) {
    const push = reader.push(body.subarray(at, at + pieceBytes))
    if (push !== 'more') return push
  }
  return reader.end()
}

/** Why something is refused; undefined where it is not. */
export function reasonOf(act: () => unknown): Reason | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}

/** Commands as one text each. */
export function tell(push: Push): string[] {
  return push.subject.commands.map(({ ref, change, update }) =>
    [change, ref, ...(update === undefined ? [] : [update])].join(' '),
  )
}

/** Lines of a push, closed by a flush. */
export function formatLines(...lines: (string | Buffer)[]): Buffer {
  return Buffer.concat([...lines.map((line) => formatPktLine(line)), FLUSH])
}

/** An entry of a pack: whole, or a delta of what is so far in front of it or is named so. */
export function makeEntry(
  type: 1 | 2 | 3 | 4 | 6 | 7,
  content: Buffer,
  more: {
    readonly base?: number | string
    readonly size?: number
    readonly deflated?: Buffer
  } = {},
): Buffer {
  const header: number[] = []
  let size = more.size ?? content.length
  let byte = (type << 4) | (size & 15)
  for (size = Math.floor(size / 16); size > 0; size = Math.floor(size / 128)) {
    header.push(byte | 0x80)
    byte = size & 0x7f
  }
  header.push(byte)
  return Buffer.concat([
    Buffer.from(header),
    typeof more.base === 'string' ? Buffer.from(more.base, 'hex') : formatOffset(more.base),
    more.deflated ?? deflateSync(content),
  ])
}

function formatOffset(base: number | undefined): Buffer {
  if (base === undefined) return Buffer.alloc(0)
  const bytes = [base & 0x7f]
  for (let rest = base >> 7; rest > 0; rest >>= 7) {
    rest -= 1
    bytes.unshift(0x80 | (rest & 0x7f))
  }
  return Buffer.from(bytes)
}

/** A pack of entries. @param count what its header says */
export function makePack(entries: readonly Buffer[], count: number = entries.length): Buffer {
  const head = Buffer.from('PACK\0\0\0\u0002\0\0\0\0', 'latin1')
  head.writeUInt32BE(count, 8)
  const pack = Buffer.concat([head, ...entries])
  return Buffer.concat([pack, createHash('sha1').update(pack).digest()])
}

/** A commit's content and name. */
export function makeCommit(
  parents: readonly string[],
  message = 'm',
): { readonly id: string; readonly content: Buffer } {
  const lines = [`tree ${'a'.repeat(40)}`, ...parents.map((parent) => `parent ${parent}`)]
  const content = Buffer.from(`${lines.join('\n')}\nauthor A <a> 0 +0000\n\n${message}\n`)
  return { id: nameCommit(content), content }
}

/** The name of a commit. */
export function nameCommit(content: Buffer): string {
  return createHash('sha1').update(`commit ${content.length}\0`).update(content).digest('hex')
}

/** A delta that makes `result` of `base`: their common beginning copied, the rest inserted. */
export function makeDelta(base: Buffer, result: Buffer): Buffer {
  let common = 0
  while (common < base.length && common < 0xffff && base[common] === result[common]) common += 1
  const parts = [varint(base.length), varint(result.length)]
  if (common > 0) parts.push(Buffer.of(0xb0, common & 0xff, common >> 8))
  for (let at = common; at < result.length; at += 127) {
    const piece = result.subarray(at, at + 127)
    parts.push(Buffer.of(piece.length), piece)
  }
  return Buffer.concat(parts)
}

/** A size as deltas have it. */
export function varint(size: number): Buffer {
  const bytes: number[] = []
  let rest = size
  for (; rest > 127; rest >>= 7) bytes.push(0x80 | (rest & 0x7f))
  return Buffer.from([...bytes, rest])
}

function see(request: IncomingMessage, body: Buffer): Seen {
  const method = request.method ?? ''
  const url = request.url ?? ''
  const at = url.indexOf('?')
  const headers = request.rawHeaders
  const head = {
    method,
    path: at < 0 ? url : url.slice(0, at),
    query: at < 0 ? undefined : url.slice(at + 1),
    headers,
  }
  return { request: recogniseGit(head), method, url, headers, body }
}

function runBackend(
  root: string,
  { method, url, headers, body }: Seen,
  response: ServerResponse,
): void {
  const { pathname, search } = new URL(url, 'http://git.invalid')
  const field = (name: string): string =>
    headers[headers.findIndex((one, at) => at % 2 === 0 && one.toLowerCase() === name) + 1] ?? ''
  const has = (name: string): boolean =>
    headers.some((one, at) => at % 2 === 0 && one.toLowerCase() === name)
  const child = spawn(BACKEND, {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {
      ...GIT_ENV,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: method,
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: has('content-type') ? field('content-type') : '',
      CONTENT_LENGTH: String(body.length),
      REMOTE_USER: 'robot',
      ...(has('content-encoding') && { HTTP_CONTENT_ENCODING: field('content-encoding') }),
      ...(has('git-protocol') && { HTTP_GIT_PROTOCOL: field('git-protocol') }),
    },
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(body)
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.on('close', () => {
    const answer = Buffer.concat(chunks)
    const end = answer.indexOf('\r\n\r\n')
    let status = 200
    for (const line of answer.toString('latin1', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(/: */, 2)
      if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10)
      else response.appendHeader(name, value)
    }
    response.writeHead(status).end(answer.subarray(end + 4))
  })
}

function runGit(root: string, words: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn('git', words, {
      cwd: root,
      env: GIT_ENV,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.on('close', (status) => {
      resolve({ status: status ?? -1, stdout, stderr: stderr.replaceAll(/[ \t\r]+$/gm, '') })
    })
  })
}
