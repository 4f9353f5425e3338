// Proves what the build does for a start: it is few files, holds no package that a start has no use for, keeps what was
// compiled and takes all of it again.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

import t from 'tap'

import { freePort } from '../fixtures/port.ts'
import { controlSocket } from '../fixtures/control-socket.ts'
import { sourcesOf } from '../fixtures/loaded-sources.ts'
import { until } from '../fixtures/scenario.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const NOT_AT_START = [
  'commander',
  'dns-packet',
  'http-proxy',
  'node-forge',
  'prom-client',
  'undici',
]

// Runs before the command: notes each file as it is loaded.
const NOTE = `
import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
registerHooks({
  load(url, context, next) {
    appendFileSync(process.env.NOTES_FILE, url + '\\n')
    return next(url, context)
  },
})
`

void t.test('a start of the build is quick without being another', async (t) => {
  const app = t.testdir({ 'note.mjs': NOTE })
  layOut(app)
  const health = await freePort()
  const config = path.join(app, 'sallyport.yaml')
  writeFileSync(
    config,
    `listen: { proxy: '127.0.0.1:0', health: '127.0.0.1:${health}' }\n` +
      // A socket's path is short, and that of a test's directory is not.
      `control: { listen: 'unix:${controlSocket(t)}' }\n`,
  )
  const notesFile = path.join(app, 'notes')
  const env = { ...process.env, NOTES_FILE: notesFile, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' }
  const start = async (
    options: readonly string[],
  ): Promise<{ child: ChildProcess; text: () => string }> => {
    const words = [...options, path.join(app, 'bin/sallyport.js'), 'start', '--config', config]
    const child = spawn(process.execPath, words, {
      cwd: app,
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    let text = ''
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
    await until(() => text.includes('Watch: '), 'it listens')
    return { child, text: () => text }
  }
  const stop = async (child: ChildProcess): Promise<void> => {
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    t.equal(await exited, 0)
  }
  const first = await start([])
  const cache = path.join(app, 'dist/.compile-cache')
  await until(() => readdirSync(cache, { recursive: true }).length > 20, 'it is kept while it runs')
  first.child.kill('SIGKILL')
  execFileSync(
    process.execPath,
    [path.join(app, 'bin/sallyport.js'), 'check', '--config', config],
    {
      cwd: app,
      stdio: 'ignore',
    },
  )

  const second = await start([])
  const lines = second.text().split('\n')
  t.ok(
    lines.some((line) => /cache for .* was accepted/.test(line)),
    'what was kept is taken',
  )
  t.same(
    lines.filter((line) => /cache for .* was rejected/.test(line)),
    [],
    'all of it',
  )
  await stop(second.child)

  const third = await start(['--import', pathToFileURL(path.join(app, 'note.mjs')).href])
  await stop(third.child)
  const loaded = readFileSync(notesFile, 'utf8')
    .split('\n')
    .filter((url) => url.startsWith('file:'))
  t.ok(
    loaded.some((url) => url.includes('/dist/')),
    'the build runs',
  )
  t.equal(loaded.length, new Set(loaded).size, 'each once')
  t.ok(loaded.length < 100, `${loaded.length} files`)
  const sources = loaded.flatMap(sourcesOf)
  t.ok(sources.includes('zod/v4/core/core.js'), 'it is known what they were put together from')
  for (const name of NOT_AT_START)
    t.notOk(
      sources.some((source) => source.startsWith(`${name}/`)),
      name,
    )
  t.same(
    sources.filter((source) => source.startsWith('zod/v4/locales/')),
    // The first is empty.
    ['zod/v4/locales/index.js', 'zod/v4/locales/en.js'],
    'no translations',
  )
})

/** What an installed package consists of. */
function layOut(app: string): void {
  for (const name of ['bin', 'package.json'])
    cpSync(path.join(ROOT, name), path.join(app, name), { recursive: true })
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(app, 'node_modules'))
  execFileSync(process.execPath, [path.join(ROOT, 'bin/build.js'), path.join(app, 'dist')])
}
