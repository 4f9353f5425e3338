// Proves that a start loads what the first call needs and no more: the packages that only some calls, or somebody who
// looks, ask for come with them.

import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

import t from 'tap'

import { freePort } from '../fixtures/port.ts'
import { controlSocket } from '../fixtures/control-socket.ts'
import { sourcesOf } from '../fixtures/loaded-sources.ts'
import { until } from '../fixtures/scenario.ts'

const ENTRY = path.join(import.meta.dirname, '../../bin/sallyport.js')
const NOT_AT_START = [
  '@opentelemetry/api',
  'commander',
  'dns-packet',
  'http-proxy',
  'node-forge',
  'prom-client',
  're2js',
  'undici',
]

// Runs before the command: notes each file as it is loaded, and at the end what node loaded of its own.
const NOTE_LOADED = `
import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
const note = (text) => appendFileSync(process.env.LOADED_FILE, text + '\\n')
registerHooks({ load(url, context, next) { note(url); return next(url, context) } })
process.on('exit', () => process.moduleLoadList.forEach((name) => note(name)))
`

void t.test('a start loads no package that it does not need', async (t) => {
  const dir = t.testdir({ 'note-loaded.mjs': NOTE_LOADED })
  const health = await freePort()
  const config = path.join(dir, 'sallyport.yaml')
  writeFileSync(
    config,
    `listen: { proxy: '127.0.0.1:0', health: '127.0.0.1:${health}' }\n` +
      // A socket's path is short, and that of a test's directory is not.
      `control: { listen: 'unix:${controlSocket(t)}' }\n`,
  )
  const ask = (where: string): Promise<boolean> =>
    fetch(`http://127.0.0.1:${health}/${where}`).then(
      ({ ok }) => ok,
      () => false,
    )
  const start = async (options: readonly string[] = []): Promise<ChildProcess> => {
    const words = [...options, ENTRY, 'start', '--config', config]
    const env = { ...process.env, LOADED_FILE: file }
    const child = spawn(process.execPath, words, { stdio: 'ignore', env })
    t.teardown(() => child.kill('SIGKILL'))
    await until(() => ask('healthz'), 'it listens')
    return child
  }
  const stop = async (child: ChildProcess): Promise<void> => {
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    t.equal(await exited, 0)
  }
  const file = path.join(dir, 'loaded')
  const loaded = (): readonly string[] => readFileSync(file, 'utf8').split('\n')
  const hasLoaded = (name: string): boolean =>
    loaded()
      .filter((url) => url.startsWith('file:'))
      .some((url) => sourcesOf(url).some((source) => source.startsWith(`${name}/`)))

  // The first start makes the CA, the later ones have it.
  await stop(await start())
  const preload = pathToFileURL(path.join(dir, 'note-loaded.mjs')).href
  const child = await start(['--import', preload])
  t.ok(hasLoaded('yaml'), 'what is loaded is seen')
  for (const name of NOT_AT_START) t.notOk(hasLoaded(name), name)
  t.ok(await ask('metrics'))
  t.ok(hasLoaded('prom-client'), 'it comes with the first scrape')
  await stop(child)
  t.ok(loaded().includes('NativeModule _http_server'), 'what node loads of its own is seen')
  t.notOk(loaded().includes('NativeModule internal/deps/undici/undici'), 'no HTTP client of node')
})
