// The image's content without a container engine: what the Dockerfile copies, with the packages that `npm ci --omit=dev
// --omit=optional` installs, runs as an ordinary user from a tree it cannot write to.

import { execFileSync, spawn } from 'node:child_process'
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { freePort } from '../fixtures/port.ts'
import { until } from '../fixtures/scenario.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const NOBODY = 65534
const dockerfile = readFileSync(path.join(ROOT, 'Dockerfile'), 'utf8')
const isRoot = process.getuid?.() === 0

void t.test(
  'the image runs as an ordinary user from a read-only tree',
  { skip: !isRoot && 'needs root to become nobody' },
  async (t) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-image-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const app = path.join(directory, 'app')
    mkdirSync(app)
    layOut(app)
    t.notOk(existsSync(path.join(app, 'node_modules/tap')), 'no development packages')
    t.notOk(
      readdirSync(path.join(app, 'node_modules')).some((name) => name.startsWith('node-linux')),
      'no Node of its own',
    )
    t.notOk(existsSync(path.join(app, 'src')), 'no sources: the build runs')

    const [proxy, health] = [await freePort(), await freePort()]
    const data = path.join(directory, 'data')
    mkdirSync(data)
    chownSync(data, NOBODY, NOBODY)
    const config = path.join(directory, 'sallyport.yaml')
    writeFileSync(
      config,
      `listen: { proxy: '127.0.0.1:${proxy}', health: '127.0.0.1:${health}' }
ca: { dir: data/certs, key: data/state/ca.key }
rules: { dir: app/rules }
state: { dir: data/state }
journal: { dir: data/journal }
control: { listen: 'unix:data/state/control.sock' }
`,
    )
    execFileSync('chmod', ['-R', 'a-w', app])
    execFileSync('chmod', ['0755', directory])
    const child = spawn(
      'setpriv',
      [
        `--reuid=${NOBODY}`,
        `--regid=${NOBODY}`,
        '--clear-groups',
        '--no-new-privs',
        '--bounding-set=-all',
        '--inh-caps=-all',
        process.execPath,
        path.join(app, 'bin/sallyport.js'),
        'start',
        '--config',
        config,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { NODE_ENV: 'production' } },
    )
    let log = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (log += chunk.toString()))
    t.teardown(() => child.kill('SIGKILL'))
    await until(() => {
      if (child.exitCode !== null) throw new Error(log)
      return fetch(`http://127.0.0.1:${health}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      )
    }, `it is ready: ${log}`)

    t.equal(
      execFileSync('stat', ['-c', '%u', `/proc/${child.pid}`], { encoding: 'utf8' }).trim(),
      String(NOBODY),
    )
    const probe = /HEALTHCHECK[^[]*CMD (\[.*\])$/m.exec(dockerfile)?.[1] ?? '[]'
    const [, ...words]: string[] = JSON.parse(probe)
    t.doesNotThrow(
      () =>
        execFileSync(
          process.execPath,
          words.map((word) => word.replace('15020', String(health))),
        ),
      'the health check passes',
    )
    t.throws(
      () =>
        execFileSync(
          process.execPath,
          words.map((word) => word.replace('15020', '1')),
          { stdio: 'ignore' },
        ),
      'and fails where nothing listens',
    )
    const answer = await fetch(`http://127.0.0.1:${proxy}/`).then(({ status }) => status)
    t.equal(answer, 400, 'it answers at the door')
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    t.equal(await exited, 0)
  },
)

// The last stage's COPY lines; the build and the packages are made as the stages before it make them.
function layOut(app: string): void {
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))
  const copies = [...last.matchAll(/^COPY (?:--from=(\w+) )?(.+) (\S+)$/gm)]
  for (const [, stage, from = '', to = ''] of copies) {
    const target = path.join(app, to)
    if (stage === 'build') execFileSync(process.execPath, [path.join(ROOT, 'bin/build.js'), target])
    else if (stage === 'packages') copyPackages(target)
    else
      for (const name of from.split(' '))
        cpSync(
          path.join(ROOT, name),
          to.endsWith('/') ? path.join(target, path.basename(name)) : target,
          { recursive: true },
        )
  }
}

// What the lockfile says that production needs, without development and optional packages.
function copyPackages(target: string): void {
  const lock: { packages: Record<string, { dev?: boolean; optional?: boolean }> } = JSON.parse(
    readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8'),
  )
  for (const [name, { dev, optional }] of Object.entries(lock.packages)) {
    if (name === '' || dev === true || optional === true) continue
    cpSync(path.join(ROOT, name), path.join(target, name.replace(/^node_modules\//, '')), {
      recursive: true,
      filter: (file) => !file.slice(path.join(ROOT, name).length).includes('/node_modules'),
    })
  }
}
