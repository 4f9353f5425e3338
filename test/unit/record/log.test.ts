import { spawnSync } from 'node:child_process'

import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { makeLog, type LogOptions } from '../../../src/record/log.ts'

function collect(options: Partial<LogOptions>): {
  log: ReturnType<typeof makeLog>
  lines: string[]
} {
  const lines: string[] = []
  return { lines, log: makeLog({ level: 'info', write: (line) => lines.push(line), ...options }) }
}

void t.test('JSON where nobody reads along', (t) => {
  const { log, lines } = collect({ pretty: false })
  log.debug('hidden')
  log.info({ port: 3128 }, 'listening')
  log.error({ err: new EgressError('dial-failed', { host: 'a.test' }) }, 'no')
  t.equal(lines.length, 2)
  t.match(JSON.parse(lines[0] ?? ''), {
    level: 'info',
    time: /^\d{4}-.*Z$/,
    port: 3128,
    msg: 'listening',
  })
  t.match(JSON.parse(lines[1] ?? ''), {
    level: 'error',
    err: { message: /dial-failed/, reason: 'dial-failed' },
  })
  t.notMatch(lines[0], /pid|hostname/)
  t.end()
})

void t.test('readable lines on a terminal, strangers’ control characters escaped', (t) => {
  const { log, lines } = collect({ pretty: true, color: false })
  log.warn({ host: 'a\u001b[2Jb\u202e', list: [1] }, 'odd\nname')
  t.match(
    lines[0],
    /^\d\d:\d\d:\d\d\.\d{3} WARN {2}odd\\u\{a\}name host=a\\u\{1b\}\[2Jb\\u\{202e\} list=\[1\]\n$/,
  )
  log.error({ err: new Error('first', { cause: new Error('second') }) }, 'broke')
  t.match(lines[1], /ERROR broke\n {4}Error: .*first/)
  t.match(lines[1], /\n {4}caused by: Error: second\n/)
  const colored = collect({ pretty: true, color: true })
  colored.log.info('hello')
  t.match(colored.lines[0], '\u001b[32mINFO')
  t.end()
})

void t.test('R55: texts are masked and the line stays one, whatever is looked for', (t) => {
  const mask = (text: string): string => text.replaceAll(/.+/g, '[secret:pattern]')
  for (const pretty of [false, true]) {
    const { log, lines } = collect({ pretty, color: false, mask })
    log.warn({ host: 'a"b', of: { list: ['c', 1] } }, 'words')
    log.error({ err: new Error('gone') }, 'broke')
    t.equal(lines.length, 2)
    for (const line of lines) t.notMatch(line, /a\\?"b|words|gone|broke/)
    if (!pretty)
      t.match(JSON.parse(lines[0] ?? ''), {
        level: 'warn',
        time: /^\d{4}-.*Z$/,
        host: '[secret:pattern]',
        msg: '[secret:pattern]',
      })
  }
  const quoted = collect({ pretty: false, mask: (text) => text.replaceAll('a"b\\c', '…') })
  quoted.log.warn({ host: 'x a"b\\c' }, 'words')
  t.match(JSON.parse(quoted.lines[0] ?? ''), { host: 'x …', msg: 'words' })
  t.end()
})

void t.test('stderr is the default, and a reader that is gone is no crash', (t) => {
  const url = new URL('../../../src/record/log.ts', import.meta.url).href
  const script = `const { makeLog } = await import('${url}'); const log = makeLog({ level: 'debug' }); for (let i = 0; i < 3; i++) log.debug('line'); process.exit(7)`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  t.equal(run.status, 7)
  t.equal(run.stderr.split('\n').length, 4)
  t.equal(run.stdout, '')
  const gone = spawnSync(
    'sh',
    [
      '-c',
      '"$1" --input-type=module -e "$2" 2>&1 >/dev/null | true; exit 0',
      'sh',
      process.execPath,
      script,
    ],
    { encoding: 'utf8' },
  )
  t.equal(gone.status, 0)
  t.end()
})
