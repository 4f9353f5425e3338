// Listeners of single tasks: a unix socket each, whoever connects to it is that task, because only its sandbox can. The
// socket's file is mounted into the sandbox by itself; the directory around it never is. Opened when a task is made, closed
// when it ends. Made by `sidecar.ts`.

import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import net, { type Server, type Socket } from 'node:net'
import path from 'node:path'

import type { TaskStanding } from '../tasks/task.ts'
import { bindListener } from './bind.ts'

/** What listeners need. */
export interface TaskListenersOptions {
  /** Made with mode 0700. */
  readonly dir: string
  readonly onConnection: (socket: Socket, boundTo: TaskStanding) => void
  readonly onProblem: (error: unknown) => void
}

// sun_path of unix(7), with its final zero.
const PATH_BYTES_MAX = 107
// Whoever the file is given to may connect; the directory keeps everybody else away.
const SOCKET_MODE = 0o666

/** The listeners of all tasks. */
export class TaskListeners {
  readonly #options: TaskListenersOptions
  readonly #servers: Map<string, Server> = new Map()

  constructor(options: TaskListenersOptions) {
    this.#options = options
  }

  /** Where a task's listener is. */
  pathOf(taskId: string): string {
    return path.join(this.#options.dir, `${taskId}.sock`)
  }

  /** Opens a task's listener. @throws Error where its path is too long for a socket */
  open(standing: TaskStanding): void {
    const { dir, onConnection, onProblem } = this.#options
    const file = this.pathOf(standing.task.id)
    if (Buffer.byteLength(file) > PATH_BYTES_MAX)
      throw new Error(`${file} is longer than a socket's path can be; shorten \`state.dir\``)
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) =>
      onConnection(socket, standing),
    )
    server.on('error', onProblem)
    this.#servers.set(standing.task.id, server)
    bindListener(server, { path: file }).then(
      () => chmodSync(file, SOCKET_MODE),
      (error: unknown) => {
        this.#servers.delete(standing.task.id)
        onProblem(error)
      },
    )
  }

  /** Takes a task's listener away; false where it had none. */
  close(taskId: string): boolean {
    const server = this.#servers.get(taskId)
    if (server === undefined) return false
    this.#servers.delete(taskId)
    server.close()
    rmSync(this.pathOf(taskId), { force: true })
    return true
  }

  /** Takes all listeners away. */
  closeAll(): void {
    for (const taskId of this.#servers.keys()) this.close(taskId)
  }
}
