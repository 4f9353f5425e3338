// The composition root: a configuration becomes running parts. Starts them in order, refuses to start half, stops them in
// reverse. Deliberately no logic of its own about calls. Called by `main.ts`.

import { mkdirSync } from 'node:fs'

import type { Config, TaskDefinition } from './config/config.ts'
import { makeJwtVerifier, readTrustBundle } from './config/identity.ts'
import { placeholderKey } from './config/placeholder-key.ts'
import { RuleWatch } from './config/rule-watch.ts'
import type { LoadedRules } from './config/rules.ts'
import { startSinks } from './config/sinks.ts'
import { buildStaticTask } from './config/task.ts'
import { makeDialer, socketAddressOf } from './config/dialer.ts'
import { HealthServer, type Readiness } from './control/health.ts'
import { CredentialStore } from './credentials/store.ts'
import { UpstreamPool } from './forward/pool.ts'
import { Identifier } from './identify/identify.ts'
import { OpenCalls } from './listen/open-calls.ts'
import { ProxyServer } from './listen/server.ts'
import type { Problem } from './policy/problem.ts'
import type { Dialer } from './net/dial.ts'
import type { Log } from './record/log.ts'
import { openRecords, type Records } from './config/records.ts'
import type { SinkFeed } from './record/sinks/feed.ts'
import type { Parts } from './stages.ts'
import { StaticTask } from './tasks/static.ts'
import { loadOrMakeCa, type Ca } from './tls/ca.ts'
import { LeafServers } from './tls/contexts.ts'

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
  readonly #task: StaticTask | undefined
  readonly #rules: RuleWatch
  readonly #openCalls: OpenCalls
  readonly #pool: UpstreamPool
  readonly #proxy: ProxyServer
  readonly #health: HealthServer
  readonly #sinks: readonly SinkFeed[]
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
    const caOptions = { ...config.ca, now }
    this.#ca = ca
    this.#caTimer = setInterval(
      () => this.#renewCa(() => loadOrMakeCa(caOptions)),
      Math.min(CA_CHECK_MS, config.ca.lifetimeMs / 20),
    )
    this.#caTimer.unref()
    this.#records = openRecords(config, log, now, {
      openCalls: () => this.#openCalls.size,
      openTunnels: () => this.#openCalls.tunnels,
      tasks: () => (this.#task?.state === 'active' ? 1 : 0),
      sinks: () => this.#sinks.map(({ stats }) => stats),
    })
    this.#openCalls = new OpenCalls({
      limits,
      now,
      onProgress: (call) => this.#records.recorder.recordProgress(call),
    })
    this.#rules = new RuleWatch({
      dir: config.rules.dir,
      limits,
      always: config.rules.always,
      task: config.task,
      onLoaded: (rules, before) => this.#onRulesLoaded(rules, before),
      onRefused: (problems) => this.#onRulesRefused(problems),
    })
    this.#task = config.task && this.#startTask(config.task, renew)
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
    this.#proxy = new ProxyServer({
      parts: this.#makeParts(environment, dialer),
      openCalls: this.#openCalls,
      leafServers: new LeafServers({
        ca: () => this.#ca,
        limits,
        now,
        onMint: () => this.#records.metrics.countMint(),
      }),
      now,
      clientCa: readTrustBundle(config),
    })
    this.#health = new HealthServer({
      connectionsMax: limits.healthConnectionsMax,
      readiness: () => this.#readiness(),
      metrics: () => this.#records.metrics.render(),
    })
  }

  #startTask(definition: TaskDefinition, renew: boolean): StaticTask {
    return new StaticTask({
      task: buildStaticTask(definition, Date.now()),
      stateDir: this.#config.stateDir,
      renew,
      now: Date.now,
      onChange: (change, task) => this.#records.recorder.recordEvent(change, { task }),
      onEnd: () => this.#onTaskEnd(),
    })
  }

  #makeParts(environment: SidecarOptions['environment'], dialer: Dialer): Parts {
    const { limits, credentials, refusals, stateDir } = this.#config
    return {
      limits,
      identifier: new Identifier({
        standing: () => this.#task,
        policyFor: () => this.#rules.inForce?.policy,
        jwt: makeJwtVerifier(this.#config, dialer, Date.now),
      }),
      credentials: new CredentialStore(credentials, {
        environment,
        limits,
        placeholderKey: placeholderKey(stateDir),
      }),
      dialer,
      pool: this.#pool,
      recorder: this.#records.recorder,
      refuseConnect: refusals.connect,
      onUnexpected: (error, call) => {
        this.#records.metrics.countAssertion()
        const detail = { err: error, call: call.id }
        this.#log.error(detail, 'a call failed closed on an error of the proxy itself')
      },
    }
  }

  /** The task that runs; undefined where none is configured. */
  get task(): StaticTask | undefined {
    return this.#task
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
    this.#task?.close()
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
    const state = this.#task?.state
    const refused = this.#rules.refusedProblems.length > 0
    const inForce = this.#rules.inForce
    return [
      { name: 'journal', ready: this.#records.journal.stats.available },
      {
        name: 'rules',
        // I5: a task whose sets are gone, or are not the pinned ones, lets nothing out.
        ready: inForce !== undefined && (!this.#task || inForce.policy !== undefined),
        ...(refused && {
          detail: 'the rule files as they are now were refused; the last good ones are in force',
        }),
      },
      {
        name: 'task',
        ready: state === undefined || state === 'active',
        ...(state && { detail: state }),
      },
    ]
  }

  #onRulesLoaded(rules: LoadedRules, before: LoadedRules | undefined): void {
    const sets = [...rules.sets.values()].map(({ name, version }) => `${name}@${version}`)
    this.#log.info(
      { sets: sets.length },
      before ? 'changed rules are in force' : 'rules are in force',
    )
    if (this.#config.task && rules.policy === undefined) this.#logProblems(rules.problems)
    for (const { name, rules: all } of rules.sets.values()) {
      const observed = all.filter(({ observe }) => observe).map(({ id }) => id)
      if (observed.length > 0)
        this.#log.warn({ set: name, rules: observed }, 'observe: what these rules refuse passes')
    }
    this.#records.recorder.recordEvent('rules-loaded', {
      detail: {
        digest: rules.digest,
        ...(before && { before: before.digest }),
        ...(rules.policy && { policy: rules.policy.digest }),
        sets,
      },
    })
  }

  #onRulesRefused(problems: readonly Problem[]): void {
    const errors = this.#logProblems(problems)
    this.#log.error('the rule files were refused; what was in force stays so')
    this.#records.recorder.recordEvent('rules-refused', {
      outcome: 'failure',
      detail: {
        problems: errors.map(({ file, line, column, code }) => `${file}:${line}:${column} ${code}`),
      },
    })
  }

  #logProblems(problems: readonly Problem[]): Problem[] {
    const errors = problems.filter(({ severity }) => severity === 'error')
    for (const { file, line, column, message } of errors)
      this.#log.error(`${file}:${line}:${column} ${message}`)
    return errors
  }

  #onTaskEnd(): void {
    this.#log.warn('the task has ended: nothing more leaves')
    this.#openCalls.cutAll('task-ended-midway')
    this.#pool.close()
  }

  #renewCa(load: () => Ca): void {
    try {
      this.#ca = load()
    } catch (error) {
      this.#log.error({ err: error }, 'the CA could not be renewed')
    }
  }
}
