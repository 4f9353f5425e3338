// The composition root: a configuration becomes running parts. Starts them in order, refuses to start half, stops them in
// reverse. Deliberately no logic of its own about calls. Called by `main.ts`.

import { mkdirSync } from 'node:fs'

import type { Call } from './call.ts'
import type { Config } from './config/config.ts'
import { CaWatch } from './config/ca-watch.ts'
import { makeIdentifier } from './config/identifier.ts'
import { openEnvelope, type EnvelopeParts } from './config/envelope.ts'
import { openRules } from './config/open-rules.ts'
import type { RuleWatch } from './config/rule-watch.ts'
import { openSecrets, type Secrets } from './config/secrets.ts'
import { startSinks } from './config/sinks.ts'
import type { SidecarOptions } from './config/sidecar-options.ts'
import { makeTaskAuthorities } from './config/task-authorities.ts'
import { endsWithTask } from './config/endings.ts'
import { makeControlServer, reachableAddress } from './config/control-parts.ts'
import { makeHooks } from './config/hooks.ts'
import { closeLedger, openLedger, type Ledger } from './config/ledger.ts'
import { TimeChanges } from './config/time-changes.ts'
import { TaskRoom } from './config/task-room.ts'
import { makeDialer, socketAddressOf, socketDirOf } from './config/dialer.ts'
import { makeDoors } from './config/doors.ts'
import { HealthServer } from './control/health.ts'
import type { ControlServer } from './control/server.ts'
import { Oversight, type OversightParts } from './config/oversight.ts'
import { UpstreamPool } from './forward/pool.ts'
import { Strangers } from './identify/strangers.ts'
import { OpenCalls } from './listen/open-calls.ts'
import type { Doors, HandedDoor } from './listen/doors.ts'
import { TaskListeners } from './listen/task-listeners.ts'
import type { Dialer } from './net/dial.ts'
import { openRecords, unexpectedReporter, type Records } from './config/records.ts'
import type { SinkFeed } from './record/sinks/feed.ts'
import type { Parts } from './stages.ts'
import type { TaskEntry } from './tasks/entry.ts'
import type { Ca } from './tls/ca.ts'
import { LeafServers, type LeafAuthority } from './tls/contexts.ts'
import type { TaskAuthorities } from './tls/task-ca.ts'

type ControlOptions = Parameters<typeof makeControlServer>[0]

const CUT_TIMEOUT_MS = 2000

/** A running sidecar. */
export class Sidecar {
  readonly #config: Config
  readonly #records: Records
  readonly #secrets: Secrets
  readonly #rules: RuleWatch
  readonly #openCalls: OpenCalls
  readonly #pool: UpstreamPool
  readonly #room: TaskRoom
  readonly #listeners: TaskListeners
  readonly #doors: Doors
  readonly #control: ControlServer
  readonly #health: HealthServer
  readonly #sinks: readonly SinkFeed[]
  readonly #authorities: TaskAuthorities
  readonly #ledger: Ledger
  readonly #agents: EnvelopeParts
  readonly #ca: CaWatch
  readonly #oversight: Oversight
  readonly #options: SidecarOptions

  /** The interception CA in use. */
  get ca(): Ca {
    return this.#ca.current
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

  private constructor(options: SidecarOptions) {
    const { config, ca, environment, renew, handed = false, log, version } = options
    this.#options = options
    const { limits, stateDir } = config
    const now = Date.now
    this.#config = config
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    this.#ca = new CaWatch(ca, config, log)
    this.#authorities = makeTaskAuthorities(config, () => this.ca, log)
    this.#secrets = openSecrets(options, () => ({ dialer, room: this.#room, records, log }))
    const { credentials, redactor } = this.#secrets
    this.#records = openRecords(
      config,
      { log, redactor },
      () => ({
        calls: this.#openCalls,
        room: this.#room,
        sinks: this.#sinks,
        own: this.#oversight,
        holds: this.#ledger.holds,
      }),
      (call, wasDenied) => this.#agents.noteEnd(call, wasDenied),
    )
    const records = this.#records
    const onProgress = (call: Call): void => records.recorder.recordProgress(call)
    const changes = new TimeChanges(() => ({ room: this.#room, dialer }))
    this.#openCalls = new OpenCalls({ limits, now, onProgress, onTimed: changes.look })
    this.#rules = openRules({ config, log, records, room: () => this.#room })
    const dialer = makeDialer(
      config,
      this.#secrets.proxyPassword,
      () => [...this.#doors.addresses(), this.#health.address(), this.#control.address()],
      (outcome) => this.#records.metrics.countDial(outcome),
    )
    const around = { environment, dialer, records, room: () => this.#room }
    this.#ledger = openLedger({ config, log, ...around })
    this.#pool = new UpstreamPool({ dialer, limits })
    this.#sinks = startSinks(config, { records, dialer, environment, version, log, now })
    const leafServers = new LeafServers({
      authorityFor: (taskId) => this.#authorityFor(taskId),
      limits,
      now,
      onMint: () => this.#records.metrics.countMint(),
    })
    const strangers = new Strangers(now)
    this.#listeners = this.#makeListeners()
    this.#room = this.#openRoom(renew, dialer, leafServers)
    const { holds } = this.#ledger
    this.#agents = openEnvelope({ config, room: this.#room, records, holds, redactor, log })
    const identifier = makeIdentifier({ config, room: this.#room, dialer, strangers })
    this.#doors = makeDoors(config, !handed, {
      parts: this.#makeParts(dialer, identifier),
      openCalls: this.#openCalls,
      leafServers,
      now,
    })
    this.#room.begin()
    this.#secrets.takeBack.begin()
    this.#control = this.#makeControl({ credentials, strangers, version })
    this.#oversight = this.#watchOver({ identifier, dialer })
    this.#health = new HealthServer({
      connectionsMax: limits.healthConnectionsMax,
      readiness: () => this.#oversight.readiness(),
      metrics: () => this.#records.metrics.render(),
    })
  }

  #watchOver(asked: Pick<OversightParts, 'identifier' | 'dialer'>): Oversight {
    const [config, log, records] = [this.#config, this.#options.log, this.#records]
    const parts = { ...asked, ...this.#secrets, config, log, records }
    const [room, rules, ca, sinks] = [this.#room, this.#rules, this.#ca, this.#sinks]
    return new Oversight({ ...parts, room, rules, ca, sinks, proxy: this.#doors })
  }

  #makeListeners(): TaskListeners {
    return new TaskListeners({
      dir: socketDirOf(this.#config),
      onConnection: (socket, boundTo) => this.#doors.proxy.accept(socket, boundTo),
      onProblem: (error) => this.#options.log.error({ err: error }, "a task's listener"),
    })
  }

  #makeControl({
    version,
    ...held
  }: Pick<ControlOptions, 'credentials' | 'strangers'> & { version: string }): ControlServer {
    const options = {
      ...held,
      config: this.#config,
      room: this.#room,
      rules: this.#rules,
      listeners: this.#listeners,
      records: this.#records,
      ...this.#ledger,
      ages: () => this.#oversight.secrets,
      agents: this.#agents,
      proxyAddress: () => reachableAddress(this.#doors.proxy.address()),
    }
    return makeControlServer(options, version, this.#options.log)
  }

  #openRoom(renew: boolean, dialer: Dialer, leafServers: LeafServers): TaskRoom {
    const config = this.#config
    const openCalls = this.#openCalls
    const held = {
      listeners: this.#listeners,
      openCalls,
      dialer,
      pool: this.#pool,
      leafServers,
      authorities: this.#authorities,
      ...this.#secrets,
      ...this.#ledger,
    }
    return new TaskRoom({
      ...held,
      config,
      renew,
      log: this.#options.log,
      records: this.#records,
      rules: () => this.#rules.inForce,
      hooks: makeHooks(config.hooks, dialer),
      participants: endsWithTask({
        ...held,
        proxy: () => this.#doors.proxy,
        names: () => this.#doors.names,
        now: Date.now,
        endSandbox: this.#options.endSandbox,
      }),
      openCalls: (taskId) => openCalls.countOf(taskId),
      cutCalls: (matches, reason) => openCalls.cutWhere(matches, reason),
    })
  }

  #makeParts(dialer: Dialer, identifier: Parts['identifier']): Parts {
    return {
      limits: this.#config.limits,
      identifier,
      ...this.#secrets,
      dialer,
      pool: this.#pool,
      recorder: this.#records.recorder,
      switches: this.#room.switches,
      shares: this.#openCalls,
      flow: this.#room.flow,
      envelope: this.#agents.envelope,
      onCredential: (standing, name) => this.#room.noteCredential(standing, name),
      nameGiven: (taskId, address) => this.#doors.names.nameOf(taskId, address),
      refuseConnect: this.#config.refusals.connect,
      ...this.#ledger,
      record: this.#config.record,
      recordedHeaders: this.#config.redact.headers,
      onUnexpected: unexpectedReporter(this.#records, this.#options.log),
    }
  }

  /** The configuration's own task; undefined where it has none. */
  get task(): TaskEntry | undefined {
    return this.#room.own
  }

  /** Ends the configuration's own task because its sandbox has ended; resolves once nothing of it is left. */
  async endTask(reason: string): Promise<void> {
    await this.#room.endOwn(reason)
  }

  /** Serves what comes by a listener that was opened elsewhere. */
  adopt(handed: HandedDoor): void {
    this.#doors.adopt(handed)
  }

  /** Loads the rule files now. */
  reloadRules(): void {
    this.#rules.reload()
  }

  /** Takes no more calls, lets open ones go on for a while, then ends everything in reverse order. */
  async stop(drainMs: number = this.#config.limits.drainTimeoutMs): Promise<void> {
    this.#doors.drain()
    this.#ledger.holds.drain()
    await this.#openCalls.drained(drainMs)
    this.#openCalls.cutAll('draining')
    this.#doors.close()
    await this.#control.close()
    this.#health.close()
    // What was cut writes its records before the journal closes.
    await this.#openCalls.drained(CUT_TIMEOUT_MS)
    await this.#secrets.takeBack.stop(CUT_TIMEOUT_MS)
    this.#pool.stop()
    this.#oversight.close()
    this.#rules.close()
    this.#room.close()
    this.#openCalls.close()
    this.#ca.close()
    closeLedger(this.#ledger)
    this.#agents.requests.stop()
    await this.#records.settle()
    await Promise.all(this.#sinks.map((sink) => sink.close()))
    await this.#records.journal.close()
  }

  async #listen(): Promise<void> {
    await this.#secrets.readAll()
    if (!this.#options.handed)
      await this.#health.listen(socketAddressOf(this.#config.listen.health))
    await this.#control.listen(socketAddressOf(this.#config.control.listen))
    await this.#doors.listen()
  }

  // The task of the configuration has no CA of its own: one sidecar, one task, one CA.
  #authorityFor(taskId: string | undefined): LeafAuthority {
    return (taskId === undefined ? undefined : this.#room.certificates.of(taskId)) ?? this.ca
  }
}
