// Passes signals on to the command in the sandbox. With a terminal it stays in the group of whoever started it: what a terminal
// sends, it sends to both. Called by `outer.ts`.

import { readFileSync } from 'node:fs'

/** What is passed on. */
const PASSED = [
  'SIGINT',
  'SIGTERM',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
  'SIGCONT',
  'SIGTSTP',
] as const

/** Sent by a terminal to everybody in its foreground, so that the command has it already. */
const FROM_TERMINAL: ReadonlySet<NodeJS.Signals> = new Set(['SIGINT', 'SIGQUIT'])

// proc(5), stat: after the name come state, ppid, pgrp, session, tty_nr, tpgid.
const GROUP_AT = 2
const FOREGROUND_AT = 5

/**
 * Passes signals on from now on.
 * @param pidOf the command's process, by now; undefined: there is none yet, or none any more
 * @param onEarly told of a signal that came before there was a command
 * @param isTogether whether the command is in the group, and the session, of this process
 * @returns stops it
 */
export function passSignals(
  pidOf: () => number | undefined,
  onEarly: (signal: NodeJS.Signals) => void,
  isTogether: boolean,
): () => void {
  const pass = (signal: NodeJS.Signals): void => {
    const pid = pidOf()
    if (pid === undefined) onEarly(signal)
    else if (!isTogether) send(pid, signal === 'SIGTSTP' ? 'SIGSTOP' : signal)
    else if (!FROM_TERMINAL.has(signal) || !isForeground()) send(pid, signal)
    // What stops the command stops this process, too; both go on together.
    if (signal === 'SIGTSTP') process.kill(process.pid, 'SIGSTOP')
  }
  for (const signal of PASSED) process.on(signal, pass)
  return () => {
    for (const signal of PASSED) process.off(signal, pass)
  }
}

/** The first child of a process: of process 1 in a sandbox the command, while it lives. */
export function firstChildOf(pid: number): number | undefined {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
    return first === undefined || first === '' ? undefined : Number(first)
  } catch {
    return undefined
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has just ended, which is told by its end.
  }
}

function isForeground(): boolean {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[GROUP_AT] === fields[FOREGROUND_AT]
}
