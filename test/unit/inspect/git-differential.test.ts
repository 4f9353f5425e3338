// Whatever is put between the lines of a push: what git's own server changes then is what was read.

import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import * as fc from 'fast-check'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import type { Push } from '../../../src/inspect/git/push.ts'
import { FLUSH, formatPktLine } from '../../../src/inspect/git/pkt-line.ts'
import { BACKEND, cloneWithCommit, makePack, openDesk, readPush } from './git-support.ts'

const ZERO = '0'.repeat(40)
const REFS = ['refs/heads/a', 'refs/heads/b', 'refs/tags/c', 'refs/heads/new', 'refs/new/d']

function readOrRefuse(body: Buffer): Push | undefined {
  try {
    return readPush(body)
  } catch (error) {
    if (error instanceof EgressError && error.reason === 'malformed-body') return undefined
    throw error
  }
}

function feed(words: readonly string[], body: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn('git', words, { stdio: ['pipe', 'ignore', 'ignore'] })
    child.stdin.on('error', () => undefined)
    child.stdin.end(body)
    child.on('close', () => resolve())
  })
}

void t.test(
  'git changes no reference that was not read of the push',
  { skip: BACKEND === '' },
  async (t) => {
    const desk = await openDesk()
    t.teardown(() => desk.close())
    await cloneWithCommit(desk)
    const first = await desk.run('-C', 'work', 'rev-parse', 'HEAD')
    const second = await desk.commit('work', 'second')
    await desk.run('-C', 'work', 'push', '-q', 'origin', 'main')
    const bare = path.join(desk.root, 'acme/widgets.git')
    await desk.run('-C', bare, 'config', 'gc.auto', '0')
    await desk.run('-C', bare, 'config', 'receive.shallowUpdate', 'true')
    for (const ref of REFS.slice(0, 3)) await desk.run('-C', bare, 'update-ref', ref, first)
    await desk.run('-C', bare, 'pack-refs', '--all')
    const packed = readFileSync(path.join(bare, 'packed-refs'), 'utf8')

    const id = fc.constantFrom(ZERO, first, second, second)
    const noise = fc.constantFrom(
      '',
      '',
      '',
      '',
      '',
      '',
      '',
      ' ',
      '\n',
      '\0',
      '\t',
      '/',
      '0000',
      'x',
      '\u00e4',
    )
    const tail = fc.constantFrom(
      '',
      '',
      '\n',
      '\0 report-status',
      '\0 report-status',
      '\0atomic push-options',
      '\0 object-format=sha1\n',
      '\0 push-options=1',
      '\n\n',
      `\0 \0`,
    )
    const command = fc
      .tuple(
        noise,
        id,
        fc.constantFrom(' ', ' ', ' ', '  ', '\t'),
        id,
        noise,
        fc.constantFrom(...REFS),
        noise,
        tail,
      )
      .map(([a, before, space, after, b, ref, c, end]) =>
        formatPktLine(`${a}${before}${space}${after} ${b}${ref}${c}${end}`),
      )
    const other = fc.constantFrom(
      FLUSH,
      Buffer.from('0001'),
      Buffer.from('0004'),
      formatPktLine(`shallow ${first}`),
      formatPktLine('push-cert\0 x'),
      formatPktLine('option'),
    )
    const plain = fc
      .tuple(id, id, fc.constantFrom(...REFS))
      .map(([before, after, ref]) => `${before} ${after} ${ref}`)
    const lines = fc.tuple(
      plain.map((line) => formatPktLine(`${line}\0 report-status`)),
      fc.array(
        fc.oneof(
          { weight: 4, arbitrary: plain.map((line) => formatPktLine(line)) },
          command,
          other,
        ),
        { maxLength: 3 },
      ),
      fc.array(fc.oneof(command, other), { maxLength: 1 }),
    )
    const seen = { refused: 0, changed: 0, same: 0 }
    await fc.assert(
      fc.asyncProperty(lines, fc.boolean(), async ([head, middle, end], isOdd) => {
        const parts = isOdd ? [...end, head, ...middle] : [head, ...middle]
        const body = Buffer.concat([...parts, FLUSH, ...(isOdd ? end : []), makePack([])])
        rmSync(path.join(bare, 'refs'), { recursive: true })
        mkdirSync(path.join(bare, 'refs'))
        writeFileSync(path.join(bare, 'packed-refs'), packed)
        await feed(['receive-pack', '--stateless-rpc', bare], body)
        const changed = changesOf(packed, await desk.run('-C', bare, 'show-ref'))
        const push = readOrRefuse(body)
        if (!push) seen.refused += 1
        else if (changed.length > 0) seen.changed += 1
        else seen.same += 1
        return (
          !push ||
          changed.every((one) =>
            push.subject.commands.some(({ ref, change }) => one === `${change} ${ref}`),
          )
        )
      }),
      { numRuns: 120 },
    )
    t.comment(seen)
    t.ok(seen.refused > 0 && seen.changed > 0, 'both were seen')
  },
)

function changesOf(before: string, after: string): string[] {
  const [old, now] = [before, after].map(
    (text) =>
      new Map([...text.matchAll(/^([0-9a-f]{40}) (.+)$/gm)].map(([, id, ref]) => [ref!, id!])),
  )
  const refs = new Set([...old!.keys(), ...now!.keys()])
  return [...refs].flatMap((ref) => {
    const [was, is] = [old!.get(ref), now!.get(ref)]
    if (was === is) return []
    return [`${was === undefined ? 'create' : is === undefined ? 'delete' : 'update'} ${ref}`]
  })
}
