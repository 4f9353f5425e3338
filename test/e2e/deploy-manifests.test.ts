// Holds the Compose file and the Kubernetes manifests of deploy/ to what docs/deployment.md says of them, as far as can be
// without an engine: who may do and see what, that their parts agree, and that what they configure runs.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t, { type Test } from 'tap'
import { parse, parseAllDocuments } from 'yaml'

import { KNOWN_KEYS } from '../fixtures/kubernetes-keys.ts'
import { freePort } from '../fixtures/port.ts'
import { until } from '../fixtures/scenario.ts'
import { mayPass, type NetworkPolicy } from '../fixtures/network-policy.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8')

interface SecurityContext {
  readonly runAsNonRoot?: boolean
  readonly runAsUser?: number
  readonly allowPrivilegeEscalation?: boolean
  readonly privileged?: boolean
  readonly readOnlyRootFilesystem?: boolean
  readonly seccompProfile?: { readonly type: string }
  readonly capabilities?: { readonly drop: readonly string[]; readonly add?: readonly string[] }
}
interface Probe {
  readonly exec: { readonly command: readonly string[] }
}
interface Container {
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: readonly { readonly name: string; readonly value?: string }[]
  readonly restartPolicy?: string
  readonly securityContext: SecurityContext
  readonly startupProbe?: Probe
  readonly readinessProbe?: Probe
  readonly volumeMounts: readonly {
    readonly name: string
    readonly mountPath: string
    readonly readOnly?: boolean
  }[]
}
interface PodSpec {
  readonly automountServiceAccountToken: boolean
  readonly enableServiceLinks: boolean
  readonly shareProcessNamespace?: boolean
  readonly hostNetwork?: boolean
  readonly hostPID?: boolean
  readonly hostIPC?: boolean
  readonly dnsPolicy?: string
  readonly dnsConfig?: { readonly nameservers?: readonly string[] }
  readonly securityContext: SecurityContext
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes: readonly { readonly name: string; readonly configMap?: { name: string } }[]
}
interface Kubernetes {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly data?: Readonly<Record<string, string>>
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Record<string, string> }
      readonly spec: PodSpec
    }
  }
}

const manifestsOf = (name: string): Kubernetes[] =>
  parseAllDocuments(read(`deploy/kubernetes/${name}.yaml`)).map((document): Kubernetes => {
    if (document.errors.length > 0) throw document.errors[0]!
    return document.toJS()
  })
const named = (manifests: readonly Kubernetes[], kind: string, name: string): Kubernetes => {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name)
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`)
  return found
}
const podOf = (manifests: readonly Kubernetes[], kind: string, name: string): PodSpec =>
  named(manifests, kind, name).spec.template.spec
const containersOf = (pod: PodSpec): Container[] => [
  ...(pod.initContainers ?? []),
  ...pod.containers,
]
const dataOf = (manifests: readonly Kubernetes[], name: string, file: string): string =>
  named(manifests, 'ConfigMap', name).data?.[file] ?? ''

/** What of the sidecar a sandbox never sees. */
const GUARDED = ['config', 'rules', 'data', 'nftables']
const PROFILES = ['pod', 'gateway'] as const

/** A directory with a configuration and its rules as the manifests have them. */
function layOut(t: Test, config: string, rules: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-manifests-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(path.join(directory, 'rules'))
  writeFileSync(path.join(directory, 'sallyport.yaml'), config)
  for (const [name, text] of Object.entries(rules))
    writeFileSync(path.join(directory, 'rules', name), text)
  return directory
}

/** Runs a verb with a configuration of deploy/, its rules taken from where they are here. */
function sallyport(
  directory: string,
  ...words: string[]
): { status: number | null; stdout: string; stderr: string } {
  const config = path.join(directory, 'sallyport.yaml')
  return spawnSync(
    process.execPath,
    [path.join(ROOT, 'bin/sallyport.js'), ...words, '--config', config],
    {
      encoding: 'utf8',
      env: {
        PATH: process.env['PATH'] ?? '',
        NO_COLOR: '1',
        SALLYPORT_RULES_DIR: path.join(directory, 'rules'),
      },
    },
  )
}

function checkConfigured(t: Test, directory: string): void {
  const checked = sallyport(directory, 'check')
  t.equal(checked.status, 0, `it passes check: ${checked.stdout}${checked.stderr}`)
  t.match(checked.stdout, 'no problems')
  const tested = sallyport(directory, 'test')
  t.equal(tested.status, 0, `its rules pass their tests: ${tested.stdout}`)
  t.match(tested.stdout, /[1-9]\d* of \d+ tests passed/)
}

/** Any key that Kubernetes does not know would be dropped in silence, or refused. */
function unknownKeys(value: unknown, kind: string, at: string): string[] {
  const known = KNOWN_KEYS[kind]
  if (known === undefined || typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    if (!Object.hasOwn(known, key)) return [`${at}.${key}`]
    return (Array.isArray(inner) ? inner : [inner]).flatMap((one: unknown) =>
      unknownKeys(one, known[key] ?? '', `${at}.${key}`),
    )
  })
}

for (const profile of PROFILES) {
  const manifests = manifestsOf(profile)
  const config = dataOf(manifests, 'sallyport', 'sallyport.yaml')
  const rules = named(manifests, 'ConfigMap', 'sallyport-rules').data ?? {}
  const agentPod = podOf(manifests, 'Job', 'agent')
  const sidecarPod = profile === 'pod' ? agentPod : podOf(manifests, 'Deployment', 'sallyport')
  const agent = agentPod.containers[0]!
  const selfTest = agentPod.initContainers!.at(-1)!
  const sidecar = containersOf(sidecarPod).find(({ name }) => name === 'sallyport')!

  void t.test(`kubernetes/${profile}.yaml: its configuration and rules are good`, (t) => {
    checkConfigured(t, layOut(t, config, rules))
    t.end()
  })

  void t.test(`kubernetes/${profile}.yaml: no key that Kubernetes does not know`, (t) => {
    const unknown = manifests.flatMap((one) =>
      unknownKeys(one, one.kind === 'ConfigMap' ? 'ConfigMap' : 'Object', one.kind),
    )
    t.strictSame(unknown, [])
    t.not(unknownKeys({ kind: 'x', sepc: {} }, 'Object', 'x').length, 0, 'one would be seen')
    t.end()
  })

  void t.test(`R45: kubernetes/${profile}.yaml: the agent may do nothing to its network`, (t) => {
    for (const container of [agent, selfTest]) {
      const { securityContext } = container
      t.strictSame(securityContext.capabilities, { drop: ['ALL'] }, 'no capability')
      t.equal(securityContext.allowPrivilegeEscalation, false)
      t.equal(securityContext.readOnlyRootFilesystem, true)
      t.notOk(securityContext.privileged)
      t.equal(securityContext.runAsUser ?? agentPod.securityContext.runAsUser, 10_001)
      t.not(securityContext.runAsNonRoot, false)
    }
    t.equal(agentPod.securityContext.runAsNonRoot, true)
    t.equal(agentPod.securityContext.seccompProfile?.type, 'RuntimeDefault')
    t.equal(agentPod.automountServiceAccountToken, false, 'no token of the cluster')
    for (const shared of ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace'] as const)
      t.notOk(agentPod[shared], shared)
    t.strictSame(agent.securityContext, selfTest.securityContext, 'tested as what it will be')
    t.strictSame(agent.env, selfTest.env)
    t.end()
  })

  void t.test(`R44: kubernetes/${profile}.yaml: the agent sees nothing that governs it`, (t) => {
    const mounts = [...agent.volumeMounts, ...selfTest.volumeMounts]
    t.notOk(mounts.some(({ name }) => GUARDED.includes(name)))
    for (const { name, readOnly } of mounts.filter((one) => !one.name.endsWith('tmp')))
      t.equal(readOnly, true, `${name} is read-only`)
    const written = sidecar.volumeMounts.filter(({ readOnly }) => readOnly !== true)
    t.strictSame(
      written.map(({ name }) => name.replace('sidecar-', '')),
      ['data', 'certs', 'tmp'],
    )
    const { ca, state, journal }: Record<string, { dir: string; key?: string }> = parse(config)
    const data = sidecar.volumeMounts.find(({ name }) => name === 'data')!.mountPath
    for (const place of [ca?.key, state?.dir, journal?.dir])
      t.match(
        place,
        new RegExp(`^${data}/`),
        'what is secret is on the volume that nobody else has',
      )
    for (const { volumeMounts } of containersOf(agentPod))
      for (const { name } of volumeMounts)
        t.ok(
          agentPod.volumes.some((volume) => volume.name === name),
          `there is a volume ${name}`,
        )
    t.end()
  })

  void t.test(`kubernetes/${profile}.yaml: the sidecar runs as the image has it`, (t) => {
    const dockerfile = read('Dockerfile')
    const [, command = ''] = /HEALTHCHECK[^[]*CMD (\[.*\])$/m.exec(dockerfile) ?? []
    for (const probe of [sidecar.startupProbe, sidecar.readinessProbe])
      t.strictSame(probe?.exec.command, JSON.parse(command), 'the probe is the health check')
    const [, start = ''] = /^CMD (\[.*\])$/m.exec(dockerfile) ?? []
    t.strictSame(sidecar.args, JSON.parse(start))
    const user = sidecar.securityContext.runAsUser ?? sidecarPod.securityContext.runAsUser
    t.equal(user, 1000, '`node` of the image')
    t.not(user, 10_001)
    t.strictSame(sidecar.securityContext.capabilities, { drop: ['ALL'] })
    t.equal(sidecarPod.automountServiceAccountToken, false)
    const { listen }: { listen: { health: string } } = parse(config)
    t.ok(command.includes(listen.health), 'it asks where the configuration listens')
    t.end()
  })
}

void t.test('R45: kubernetes/pod.yaml: the rules come first, and close', (t) => {
  const manifests = manifestsOf('pod')
  const pod = podOf(manifests, 'Job', 'agent')
  const [first, second, third, ...more] = pod.initContainers ?? []
  t.strictSame(
    [first?.name, second?.name, third?.name],
    ['no-other-way-out', 'sallyport', 'self-test'],
  )
  t.strictSame(more, [])
  t.strictSame(first?.securityContext.capabilities, { drop: ['ALL'], add: ['NET_ADMIN'] })
  t.equal(first?.securityContext.runAsUser, 0)
  t.equal(first?.restartPolicy, undefined, 'what follows waits for its success')
  t.equal(second?.restartPolicy, 'Always', 'a native sidecar')
  t.ok(second?.startupProbe, 'what follows waits until it is ready')
  t.equal(third?.restartPolicy, undefined)
  const others = containersOf(pod).filter((container) => container !== first)
  t.notOk(others.some(({ securityContext }) => securityContext.capabilities?.add))
  const nft = dataOf(manifests, 'sallyport-nftables', 'sallyport.nft')
  t.equal(nft, read('deploy/nftables/sallyport.nft'), 'the rules are the file')
  const mount = first?.volumeMounts.find(({ name }) => name === 'nftables')
  t.strictSame(first?.command, ['nft', '--file', `${mount?.mountPath}/sallyport.nft`])
  const define = (name: string): string =>
    new RegExp(`^define ${name} = (.*)$`, 'm').exec(nft)?.[1] ?? ''
  t.equal(define('free'), `{ ${second?.securityContext.runAsUser} }`, 'free is the sidecar')
  interface Listen {
    readonly proxy: string
    readonly socks: string
    readonly transparent: Readonly<Record<'http' | 'tls' | 'dns', string>>
    readonly health: string
  }
  const { listen }: { listen: Listen } = parse(dataOf(manifests, 'sallyport', 'sallyport.yaml'))
  const { proxy, socks, transparent, health } = listen
  for (const [door, address] of Object.entries({ proxy, socks, ...transparent }))
    t.equal(define(`port_${door}`), address.slice(address.lastIndexOf(':') + 1), door)
  t.notOk(nft.includes(health.split(':')[1]!), 'and the health listener is none of them')
  t.end()
})

void t.test(
  'R45: kubernetes/gateway.yaml: its policies let a sandbox reach the gateway alone',
  (t) => {
    const manifests = manifestsOf('gateway')
    const policies = parseAllDocuments(read('deploy/kubernetes/gateway.yaml'))
      .map((document): NetworkPolicy => document.toJS())
      .filter(({ kind }) => kind === 'NetworkPolicy')
    const labelsOf = (kind: string, name: string): Record<string, string> =>
      named(manifests, kind, name).spec.template.metadata.labels
    const sandbox = { pod: labelsOf('Job', 'agent') }
    const gateway = { pod: labelsOf('Deployment', 'sallyport') }
    const names = { pod: { 'k8s-app': 'kube-dns' }, namespace: 'kube-system' }
    const passes = (from: object, to: object, port: number, protocol = 'TCP'): boolean =>
      mayPass(policies, from, to, { port, protocol })
    t.ok(passes(sandbox, gateway, 3128))
    t.notOk(passes(sandbox, gateway, 15_020), 'not its health listener')
    t.notOk(passes(sandbox, gateway, 3128, 'UDP'))
    t.notOk(passes(sandbox, names, 53, 'UDP'), 'no DNS')
    t.notOk(passes(sandbox, sandbox, 3128), 'not each other')
    for (const address of ['1.1.1.1', '169.254.169.254', '10.0.0.1', '2606:4700::1111'])
      t.notOk(passes(sandbox, { address }, 443), address)
    t.notOk(passes({ pod: { app: 'other' } }, gateway, 3128), 'nobody else reaches the gateway')
    t.notOk(passes({ pod: { app: 'other' } }, { address: '1.1.1.1' }, 443), 'nor goes out')
    t.ok(passes(gateway, { address: '1.1.1.1' }, 443))
    t.ok(passes(gateway, { address: '2606:4700::1111' }, 443))
    t.ok(passes(gateway, names, 53, 'UDP'))
    for (const address of ['169.254.169.254', '10.0.0.1', '192.168.1.1', 'fd00::1', 'fe80::1'])
      t.notOk(passes(gateway, { address }, 443), `the gateway: not ${address}`)
    t.notOk(passes(gateway, { address: '1.1.1.1' }, 25))
    t.notOk(passes(gateway, sandbox, 80), 'and nobody reaches a sandbox')
    const pod = podOf(manifests, 'Job', 'agent')
    t.equal(pod.dnsPolicy, 'None')
    t.strictSame(pod.dnsConfig, { nameservers: ['127.0.0.1'] })
    t.end()
  },
)

void t.test('the variables of each sandbox are those that `sallyport env` prints', (t) => {
  const pod = manifestsOf('pod')
  const podConfig = dataOf(pod, 'sallyport', 'sallyport.yaml')
  const printed = sallyport(layOut(t, podConfig, {}), 'env', '--shell', 'json')
  const variablesOf = ({ env = [] }: Container): Record<string, string | undefined> =>
    Object.fromEntries(env.map(({ name, value }) => [name, value]))
  t.strictSame(variablesOf(podOf(pod, 'Job', 'agent').containers[0]!), JSON.parse(printed.stdout))
  const composed = sallyport(
    layOut(t, read('deploy/compose/sallyport.yaml'), {}),
    'env',
    '--shell',
    'docker',
  )
  t.equal(read('deploy/compose/sandbox.env'), composed.stdout)
  t.end()
})

void t.test(
  'kubernetes/gateway.yaml: it runs, and a task made as the README says has its variables',
  async (t) => {
    const manifests = manifestsOf('gateway')
    const rules = named(manifests, 'ConfigMap', 'sallyport-rules').data ?? {}
    const directory = layOut(t, dataOf(manifests, 'sallyport', 'sallyport.yaml'), rules)
    const [proxy, health] = [await freePort(), await freePort()]
    const at = (name: string): string => path.join(directory, name)
    const env = {
      PATH: process.env['PATH'] ?? '',
      SALLYPORT_LISTEN_PROXY: `127.0.0.1:${proxy}`,
      SALLYPORT_LISTEN_HEALTH: `127.0.0.1:${health}`,
      SALLYPORT_CONTROL_LISTEN: `unix:${at('data/state/control.sock')}`,
      SALLYPORT_CA_DIR: at('certs'),
      SALLYPORT_CA_KEY: at('data/state/ca.key'),
      SALLYPORT_STATE_DIR: at('data/state'),
      SALLYPORT_JOURNAL_DIR: at('data/journal'),
      SALLYPORT_RULES_DIR: at('rules'),
    }
    const program = [path.join(ROOT, 'bin/sallyport.js'), '--config', at('sallyport.yaml')]
    const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, ...program, 'start'], {
      env,
      stdio: 'ignore',
    })
    t.teardown(() => child.kill('SIGKILL'))
    const isReady = (): Promise<boolean> =>
      fetch(`http://127.0.0.1:${health}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      )
    await until(isReady, 'the gateway is ready')
    const command = /sallyport\.js (task create .*?) \\\n\s+< (\S+)/.exec(read('deploy/README.md'))
    const words =
      command?.[1]?.replace('/etc/sallyport/sallyport.yaml', at('sallyport.yaml')).split(' ') ?? []
    const piped = ['-c', 'cat "$0" | "$@"', path.join(ROOT, command?.[2] ?? ''), process.execPath]
    const made = spawnSync('sh', [...piped, program[0]!, ...words], { env, encoding: 'utf8' })
    t.equal(made.status, 0, made.stderr)
    const task: { id: string; token: string; env: Record<string, string> } = JSON.parse(made.stdout)
    const given = Object.fromEntries(
      podOf(manifests, 'Job', 'agent').containers[0]!.env!.flatMap(({ name, value }) =>
        value === undefined ? [] : [[name, value]],
      ),
    )
    const here = (value: string): string =>
      value
        .replaceAll('$(AGENT_TASK)', task.id)
        .replaceAll('$(AGENT_TOKEN)', task.token)
        .replaceAll('$(GATEWAY_SERVICE_HOST)', '127.0.0.1')
        .replaceAll(/\b3128\b/g, String(proxy))
        .replaceAll('/etc/sallyport-ca', at(`certs/tasks/${task.id}`))
    t.strictSame(
      Object.fromEntries(Object.entries(given).map(([name, value]) => [name, here(value)])),
      task.env,
    )
    const ask = spawnSync(
      'curl',
      ['-sS', '--proxy', task.env['HTTP_PROXY']!, 'http://nowhere.example/'],
      { encoding: 'utf8' },
    )
    t.match(ask.stdout, 'not-on-allowlist', 'it is known, and held to its rules')
    for (const name of ['ca.crt', 'ca-bundle.crt'])
      t.match(readFileSync(at(`certs/tasks/${task.id}/${name}`), 'utf8'), 'BEGIN CERTIFICATE')
  },
)

interface Service {
  readonly user?: string
  readonly read_only: boolean
  readonly cap_drop: readonly string[]
  readonly cap_add?: readonly string[]
  readonly privileged?: boolean
  readonly network_mode?: string
  readonly ports?: readonly string[]
  readonly security_opt: readonly string[]
  readonly restart: string
  readonly env_file?: readonly string[]
  readonly networks: Readonly<Record<string, { readonly ipv4_address?: string }>>
  readonly volumes: readonly string[]
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
}
interface Compose {
  readonly services: Readonly<Record<'sallyport' | 'self-test' | 'agent', Service>>
  readonly networks: {
    readonly sandbox: {
      readonly internal: boolean
      readonly enable_ipv6: boolean
      readonly ipam: { readonly config: readonly { readonly subnet: string }[] }
    }
    readonly outside: { readonly internal?: boolean }
  }
}

void t.test('R45: compose/compose.yaml: the agent is on an internal network alone', (t) => {
  const { services, networks }: Compose = parse(read('deploy/compose/compose.yaml'))
  const { sallyport: sidecar, agent, 'self-test': selfTest } = services
  t.equal(networks.sandbox.internal, true)
  t.equal(networks.sandbox.enable_ipv6, false)
  t.notOk(networks.outside.internal)
  t.strictSame(Object.keys(sidecar.networks), ['sandbox', 'outside'])
  for (const one of [agent, selfTest]) {
    t.strictSame(Object.keys(one.networks), ['sandbox'])
    t.equal(one.user, '10001:10001')
    t.strictSame(one.volumes, ['certs:/var/lib/sallyport/certs:ro'], 'nothing that governs it')
    t.strictSame(one.env_file, ['sandbox.env'])
  }
  for (const [name, one] of Object.entries(services)) {
    t.strictSame(one.cap_drop, ['ALL'], name)
    t.strictSame(
      [one.cap_add, one.privileged, one.network_mode, one.ports],
      Array(4).fill(undefined),
    )
    t.strictSame(one.security_opt, ['no-new-privileges:true'])
    t.equal(one.read_only, true)
    t.ok(one.restart)
  }
  t.strictSame(agent.depends_on, {
    sallyport: { condition: 'service_healthy' },
    'self-test': { condition: 'service_completed_successfully' },
  })
  const [, command = ''] = /HEALTHCHECK[^[]*CMD (\[.*\])$/m.exec(read('Dockerfile')) ?? []
  t.strictSame(sidecar.healthcheck?.test, ['CMD', ...JSON.parse(command)])
  t.end()
})

void t.test('compose/compose.yaml: addresses, task and rules agree', (t) => {
  const { services, networks }: Compose = parse(read('deploy/compose/compose.yaml'))
  const config: { listen: { proxy: string }; task: { identity: { sources: string[] } } } = parse(
    read('deploy/compose/sallyport.yaml'),
  )
  const addressOf = (name: keyof Compose['services']): string =>
    services[name].networks['sandbox']?.ipv4_address ?? ''
  t.equal(config.listen.proxy, `${addressOf('sallyport')}:3128`)
  t.strictSame(
    config.task.identity.sources,
    [addressOf('agent'), addressOf('self-test')].map((address) => `${address}/32`),
  )
  const [network = '', prefix = ''] = networks.sandbox.ipam.config[0]!.subnet.split('/')
  const subnet = new net.BlockList()
  subnet.addSubnet(network, Number(prefix), 'ipv4')
  for (const name of ['sallyport', 'agent', 'self-test'] as const)
    t.ok(subnet.check(addressOf(name), 'ipv4'), `${name} is in the subnet`)
  const rules = { 'first-agent.yaml': read('deploy/compose/rules/first-agent.yaml') }
  checkConfigured(t, layOut(t, read('deploy/compose/sallyport.yaml'), rules))
  for (const profile of PROFILES)
    t.ok(
      rules['first-agent.yaml'].endsWith(
        dataOf(manifestsOf(profile), 'sallyport-rules', 'first-agent.yaml'),
      ),
      `kubernetes/${profile}.yaml has the same rules`,
    )
  t.end()
})

const nft = ((): string | undefined => {
  try {
    execFileSync('unshare', ['--net', 'nft', 'list', 'ruleset'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'needs root, nft and network namespaces'
  }
})()

void t.test('each file of nftables is one', { skip: nft ?? false }, (t) => {
  for (const name of ['sallyport.nft', 'gateway.nft']) {
    const file = path.join(ROOT, 'deploy/nftables', name)
    const check = (of: string): number | null =>
      spawnSync('unshare', ['--net', 'nft', '--check', '--file', of]).status
    t.equal(check(file), 0, name)
    const broken = path.join(mkdtempSync(path.join(tmpdir(), 'sallyport-nft-')), 'broken.nft')
    writeFileSync(broken, read(`deploy/nftables/${name}`).replace('policy accept', 'policy acecpt'))
    t.not(check(broken), 0, 'and a broken one is seen')
    rmSync(path.dirname(broken), { recursive: true })
  }
  t.end()
})

void t.test(
  'R45: systemd/: rules before the sidecar before the agent, each bound to what is before it',
  (t) => {
    const unit = (name: string): ReadonlyMap<string, string> =>
      new Map(
        [...read(`deploy/systemd/${name}.service`).matchAll(/^(\w+)=(.*)$/gm)].map(
          ([, key = '', value = '']) => [key, value],
        ),
      )
    const [rules, sidecar, agent] = ['sallyport-rules', 'sallyport', 'agent'].map(unit)
    t.match(rules?.get('ExecStart'), /nft --file .*sallyport\.nft$/)
    t.equal(rules?.get('Type'), 'oneshot')
    t.equal(rules?.get('RemainAfterExit'), 'yes')
    t.match(rules?.get('Before'), 'network-pre.target')
    for (const one of [sidecar, agent]) {
      t.equal(one?.get('Requires'), 'sallyport-rules.service')
      t.equal(one?.get('NoNewPrivileges'), 'yes')
      t.equal(one?.get('CapabilityBoundingSet'), '')
    }
    t.match(sidecar?.get('After'), 'sallyport-rules.service')
    t.equal(agent?.get('After'), 'sallyport.service')
    t.equal(agent?.get('BindsTo'), 'sallyport.service')
    t.match(agent?.get('ExecStartPre'), 'sallyport doctor --inside')
    t.not(agent?.get('User'), sidecar?.get('User'))
    t.match(
      read('deploy/systemd/agent.service'),
      /^InaccessiblePaths=.*\/var\/lib\/sallyport\/state/m,
    )
    t.end()
  },
)
