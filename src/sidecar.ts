// The composition root: a configuration becomes running parts. Starts them in order, refuses to start half, stops them in
// reverse. Deliberately no logic of its own about calls. Called by `main.ts`.

import { mkdirSync } from 'node:fs'

import type { Config } from './config/config.ts'
import { makeJwtVerifier, readTrustBundle } from './config/identity.ts'
import { placeholderKey } from './config/placeholder-key.ts'
import { openRules } from './config/open-rules.ts'
import type { RuleWatch } from './config/rule-watch.ts'
import { startSinks } from './config/sinks.ts'
import { makeTaskAuthorities } from './config/task-authorities.ts'
import { endsWithTask, isKilled } from './config/endings.ts'
import { makeHooks } from './config/hooks.ts'
import { socketDirOf, TaskRoom } from './config/task-room.ts'
import { makeDialer, socketAddressOf } from './config/dialer.ts'
import { HealthServer } from './control/health.ts'
import { readinessOf, type Readiness } from './control/readiness.ts'
import { CredentialStore } from './credentials/store.ts'
import { UpstreamPool } from './forward/pool.ts'
import { Identifier } from './identify/identify.ts'
import { Strangers } from './identify/strangers.ts'
import { OpenCalls } from './listen/open-calls.ts'
import { ProxyServer } from './listen/server.ts'
import { TaskListeners } from './listen/task-listeners.ts'
import type { Dialer } from './net/dial.ts'
import type { Log } from './record/log.ts'
import { openRecords, type Records } from './config/records.ts'
import type { SinkFeed } from './record/sinks/feed.ts'
import type { Parts } from './stages.ts'
import type { TaskEntry } from './tasks/entry.ts'
import { loadOrMakeCa, type Ca } from './tls/ca.ts'
import { LeafServers, type LeafAuthority } from './tls/contexts.ts'
import type { TaskAuthorities } from './tls/task-ca.ts'

/** What starting takes besides the configuration. */
export interface SidecarOptions {
  readonly config: Config
  /** The interception CA to begin with. */
  readonly ca: Ca
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Start the static task anew even where it has ended. */
  readonly renew: boolean
  readonly log: Log
}

const CA_CHECK_MS = 3_600_000
const CUT_TIMEOUT_MS = 2000

/** A running sidecar. */
export class Sidecar {
  readonly #config: Config
  readonly #log: Log
  readonly #records: Records
  readonly #rules: RuleWatch
  readonly #openCalls: OpenCalls
  readonly #pool: UpstreamPool
  readonly #room: TaskRoom
  readonly #strangers: Strangers
  readonly #proxy: ProxyServer
  readonly #health: HealthServer
  readonly #sinks: readonly SinkFeed[]
  readonly #authorities: TaskAuthorities
  readonly #caTimer: NodeJS.Timeout
  #ca: Ca

  /** The interception CA in use. */
  get ca(): Ca {
    return this.#ca
  }

  /** Starts everything; what was started is stopped again where a later part cannot. @throws Error saying which part and why */
  static async start(options: SidecarOptions): Promise<Sidecar> {
    const sidecar = new Sidecar(options)
    try {
      await sidecar.#listen()
    } catch (error) {
      await sidecar.stop(0)
      throw error
    }
    return sidecar
  }

  private constructor({ config, ca, environment, renew, log }: SidecarOptions) {
    const { limits, stateDir } = config
    const now = Date.now
    this.#config = config
    this.#log = log
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    this.#ca = ca
    this.#caTimer = this.#watchCa()
    this.#authorities = makeTaskAuthorities(config, () => this.#ca, log)
    this.#records = openRecords(
      config,
      log,
      now,
      {
        openCalls: () => this.#openCalls.size,
        openTunnels: () => this.#openCalls.tunnels,
        tasks: () => this.#room.registry.entries.live.size,
        sinks: () => this.#sinks.map(({ stats }) => stats),
      },
      (call, wasDenied) => this.#room.count(call.task, wasDenied),
    )
    const { recorder } = this.#records
    this.#openCalls = new OpenCalls({
      limits,
      now,
      onProgress: (call) => recorder.recordProgress(call),
    })
    this.#rules = openRules({ config, log, recorder, onChanged: () => this.#room.onRulesChanged() })
    const dialer = makeDialer(
      config,
      () => [this.#proxy.address(), this.#health.address()],
      (outcome) => this.#records.metrics.countDial(outcome),
    )
    this.#pool = new UpstreamPool({ dialer, limits })
    this.#sinks = startSinks(config.sinks, {
      journal: this.#records.journal,
      stateDir,
      dialer,
      limits,
      log,
      now,
    })
    const credentials = new CredentialStore(config.credentials, {
      environment,
      limits,
      placeholderKey: placeholderKey(stateDir),
    })
    const leafServers = new LeafServers({
      authorityFor: (taskId) => this.#authorityFor(taskId),
      limits,
      now,
      onMint: () => this.#records.metrics.countMint(),
    })
    this.#strangers = new Strangers(now)
    this.#room = this.#openRoom(renew, dialer, credentials, leafServers)
    this.#proxy = new ProxyServer({
      parts: this.#makeParts(dialer, credentials),
      openCalls: this.#openCalls,
      leafServers,
      now,
      clientCa: readTrustBundle(config),
    })
    this.#room.begin()
    this.#health = new HealthServer({
      connectionsMax: limits.healthConnectionsMax,
      readiness: () => this.#readiness(),
      metrics: () => this.#records.metrics.render(),
    })
  }

  #openRoom(
    renew: boolean,
    dialer: Dialer,
    credentials: CredentialStore,
    leafServers: LeafServers,
  ): TaskRoom {
    const config = this.#config
    const openCalls = this.#openCalls
    const authorities = this.#authorities
    const listeners = new TaskListeners({
      dir: socketDirOf(config),
      onConnection: (socket, boundTo) => this.#proxy.accept(socket, boundTo),
      onProblem: (error) => this.#log.error({ err: error }, "a task's listener"),
    })
    const held = { listeners, openCalls, dialer, leafServers, authorities, credentials }
    return new TaskRoom({
      ...held,
      config,
      renew,
      log: this.#log,
      recorder: this.#records.recorder,
      rules: () => this.#rules.inForce,
      hooks: makeHooks(config.hooks, dialer),
      participants: endsWithTask({
        ...held,
        proxy: () => this.#proxy,
        pool: this.#pool,
        now: Date.now,
      }),
      openCalls: (taskId) => openCalls.openOf(taskId),
      cut: (scope, value) => openCalls.cutWhere(isKilled(scope, value), 'killed'),
    })
  }

  #makeParts(dialer: Dialer, credentials: CredentialStore): Parts {
    const { limits, refusals } = this.#config
    const { recorder, metrics } = this.#records
    const room = this.#room
    return {
      limits,
      identifier: new Identifier({
        tasks: room.known,
        jwt: makeJwtVerifier(this.#config, dialer, Date.now),
        policiesFor: (task) => room.policies.chainOf(task),
        checkSwitches: (task) => room.switches.checkTask(task),
        onShared: (task, { address }, seen) =>
          recorder.recordShared(task, {
            seen,
            bound: task.subject ?? task.sources.join(' '),
            from: address ?? 'unix socket',
          }),
        onStranger: ({ address }, reason) => this.#strangers.note(address, reason),
      }),
      credentials,
      dialer,
      pool: this.#pool,
      recorder,
      switches: room.switches,
      onCredential: (standing, name) => room.noteCredential(standing, name),
      refuseConnect: refusals.connect,
      onUnexpected: (error, call) => {
        metrics.countAssertion()
        const detail = { err: error, call: call.id }
        this.#log.error(detail, 'a call failed closed on an error of the proxy itself')
      },
    }
  }

  /** The configuration's own task; undefined where it has none. */
  get task(): TaskEntry | undefined {
    return this.#room.own
  }

  /** Loads the rule files now. */
  reloadRules(): void {
    this.#rules.reload()
  }

  /** Takes no more calls, lets open ones go on for a while, then ends everything in reverse order. */
  async stop(drainMs: number = this.#config.limits.drainTimeoutMs): Promise<void> {
    this.#proxy.drain()
    await this.#openCalls.drained(drainMs)
    this.#openCalls.cutAll('draining')
    this.#proxy.close()
    this.#health.close()
    // What was cut writes its records before the journal closes.
    await this.#openCalls.drained(CUT_TIMEOUT_MS)
    this.#pool.stop()
    this.#rules.close()
    this.#room.close()
    this.#openCalls.close()
    clearInterval(this.#caTimer)
    this.#records.denials.close()
    await Promise.all(this.#sinks.map((sink) => sink.close()))
    await this.#records.journal.close()
  }

  async #listen(): Promise<void> {
    await this.#health.listen(socketAddressOf(this.#config.listen.health))
    await this.#proxy.listen(socketAddressOf(this.#config.listen.proxy))
  }

  #readiness(): Readiness[] {
    return readinessOf({
      isRecording: this.#records.journal.stats.available,
      task: this.#room.own?.state,
      hasRules: this.#rules.inForce !== undefined,
      hasPolicy: this.#rules.inForce?.policy !== undefined,
      hasRefused: this.#rules.refusedProblems.length > 0,
    })
  }

  // The task of the configuration has no CA of its own: one sidecar, one task, one CA.
  #authorityFor(taskId: string | undefined): LeafAuthority {
    return (taskId === undefined ? undefined : this.#authorities.of(taskId)) ?? this.#ca
  }

  #watchCa(): NodeJS.Timeout {
    const { ca } = this.#config
    const renew = (): void => {
      try {
        this.#ca = loadOrMakeCa({ ...ca, now: Date.now })
      } catch (error) {
        this.#log.error({ err: error }, 'the CA could not be renewed')
      }
    }
    const timer = setInterval(renew, Math.min(CA_CHECK_MS, ca.lifetimeMs / 20))
    timer.unref()
    return timer
  }
}
