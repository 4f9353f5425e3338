// h11, a strict reader in Python, as one long-lived child that is fed case after case. Not a test itself; used by `run.ts`.

import { spawn, spawnSync } from 'node:child_process'
import path from 'node:path'

import type { Hearing, Oracle, Question } from './oracle.ts'

// The distribution's package belongs to the distribution's interpreter.
const PYTHONS = ['/usr/bin/python3', 'python3']
const PREFIX_BYTES = 4

/** Starts h11; undefined where it is not installed. */
export function startH11(): Oracle | undefined {
  const python = PYTHONS.find(
    (command) => spawnSync(command, ['-c', 'import h11'], { stdio: 'ignore' }).status === 0,
  )
  if (python === undefined) return undefined
  const script = path.join(import.meta.dirname, 'h11_reader.py')
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting: ((answer: Hearing) => void)[] = []
  let failed: ((error: Error) => void) | undefined
  let unread: Buffer = Buffer.alloc(0)
  child.stdout.on('data', (bytes: Buffer) => {
    unread = Buffer.concat([unread, bytes])
    for (;;) {
      const end = unread.length < PREFIX_BYTES ? Infinity : PREFIX_BYTES + unread.readUInt32BE(0)
      if (unread.length < end) break
      const answer: Hearing = JSON.parse(unread.toString('latin1', PREFIX_BYTES, end))
      unread = unread.subarray(end)
      waiting.shift()?.(answer)
    }
  })
  child.on('exit', () => failed?.(new Error('h11 ended')))
  return {
    name: 'h11',
    ask: (questions) =>
      new Promise((resolve, reject) => {
        failed = reject
        const answers: Hearing[] = []
        if (questions.length === 0) resolve(answers)
        for (const question of questions) {
          waiting.push((answer) => {
            answers.push(answer)
            if (answers.length === questions.length) resolve(answers)
          })
          child.stdin.write(pack(question))
        }
      }),
    close: () => {
      failed = undefined
      child.stdin.end()
    },
  }
}

function pack({ pieces, method, isEnded }: Question): Buffer {
  const case_ = {
    pieces: pieces.map((piece) => piece.toString('latin1')),
    method: method ?? null,
    isEnded,
  }
  const bytes = Buffer.from(JSON.stringify(case_))
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32BE(bytes.length)
  return Buffer.concat([prefix, bytes])
}
