// What agents read at `http://sallyport.internal/` and what they ask people for, as a configuration and its tasks make it.
// Called by `sidecar.ts`.

import type { Call } from '../call.ts'
import { Envelope, type OwnCall } from '../envelope/envelope.ts'
import { holdForAgent } from '../envelope/holds.ts'
import { Refusals } from '../envelope/refusals.ts'
import type { Redactor } from '../inspect/redactor.ts'
import type { Holds } from '../ledger/holds/holds.ts'
import type { Log } from '../record/log.ts'
import { Requests } from '../tasks/requests.ts'
import type { TaskView } from '../tasks/view.ts'
import type { Config } from './config.ts'
import type { Records } from './records.ts'
import type { TaskRoom } from './task-room.ts'

/** What it is made of. */
export interface EnvelopeOptions {
  readonly config: Pick<Config, 'stateDir' | 'limits'>
  readonly room: Pick<TaskRoom, 'clock' | 'registry' | 'switches' | 'desk' | 'count'>
  readonly records: Pick<Records, 'recorder' | 'journal'>
  readonly holds: Pick<Holds, 'list' | 'show'>
  readonly redactor: Redactor
  readonly log: Log
}

/** The parts. */
export interface EnvelopeParts {
  readonly envelope: Envelope
  readonly requests: Requests
  /** Takes a call that is over: it counts for its task, which may read why it was refused. */
  noteEnd(call: Call, wasDenied: boolean): void
}

/** Makes the parts. @throws Error where the requests that are kept cannot be read */
export function openEnvelope(options: EnvelopeOptions): EnvelopeParts {
  const { config, room, records, holds, redactor, log } = options
  const { limits } = config
  const { recorder, journal } = records
  const refusals = new Refusals()
  const requests = new Requests({
    stateDir: config.stateDir,
    limits,
    now: () => room.clock.now(),
    liveTask: (id) => {
      const entry = room.registry.entries.get(id)
      return entry && room.registry.entries.live.has(entry) ? entry.task : undefined
    },
    onEvent: (action, task, detail) => recorder.recordEvent(action, { task, detail }),
    onProblem: (error) => log.error({ err: error }, 'a request to people could not be written'),
  })
  const envelope = new Envelope({
    describe: (call) => describeTask(call, room.desk.show(call.identity.task.id)?.limits),
    requests: {
      listOf: (taskId) => requests.listOf(taskId),
      open: (task, { method, url, reason }, verdict) => {
        const harmless = {
          method: redactor.text(method, task.id),
          url: redactor.uri(url, task.id),
          reason: redactor.text(reason, task.id),
        }
        return requests.open(task, harmless, verdict)
      },
      recorded: () => recorder.settled(),
    },
    refusals,
    holds: {
      listOf: ({ id }) =>
        holds
          .list()
          .filter(({ task }) => task.id === id)
          .map(holdForAgent),
      show: (task, id) => {
        const hold = holds.show(id)
        return hold?.task.id === task.id ? holdForAgent(hold) : undefined
      },
    },
    checkSwitches: (host, credential) => room.switches.checkCall(host, credential),
    isRecording: () => journal.stats.available,
    limits,
  })
  const noteEnd = (call: Call, wasDenied: boolean): void => {
    room.count(call, wasDenied)
    refusals.note(call)
  }
  return { envelope, requests, noteEnd }
}

function describeTask({ identity }: OwnCall, limits: TaskView['limits']): object {
  const { task, standing, moment } = identity
  const { intent, capabilities, labels, owner, agent, environment, ceiling } = task
  const { now, read } = moment()
  return {
    id: task.id,
    state: standing.state,
    intent,
    ...(capabilities && { capabilities }),
    ...(labels && { labels }),
    owner: { name: owner.name, team: owner.team },
    agent: { account: agent.account, instance: agent.instance },
    environment,
    ceiling,
    hasRead: read,
    ...(limits && { limits }),
    mode: task.observe === true ? 'observe' : 'enforce',
    expiresAt: new Date(task.expiresAt).toISOString(),
    expiresInSeconds: Math.max(0, Math.floor((task.expiresAt - now) / 1000)),
  }
}
