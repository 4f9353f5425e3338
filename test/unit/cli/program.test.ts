// Proves what all verbs have in common: exit codes, help, what is not served, and how a start is handed on.

import path from 'node:path'

import t from 'tap'

import { CONFIGURATION, RULES, run } from './support.ts'

void t.test('help and version are answers, a wrong word is wrong usage', async (t) => {
  const help = await run(['--help'])
  t.equal(help.code, 0)
  for (const verb of [
    'start',
    'check',
    'test',
    'explain',
    'env',
    'task',
    'kill',
    'rules',
    'tail',
    'export',
    'verify',
    'doctor',
    'ca',
  ])
    t.match(help.out, new RegExp(`^ {2}${verb} `, 'm'), verb)
  t.match(await run(['--version']), { code: 0, out: '1.2.3\n' })
  t.match(await run(['chekc']), { code: 2, err: /unknown command.*\n.*check/s })
  t.match(await run(['check', '--wrong']), { code: 2, err: /unknown option/ })
  t.match(await run(['check', '--format', 'xml']), { code: 2, err: /human, json, github, sarif/ })
})

void t.test('what is not served yet says so by name and is not mistaken for done', async (t) => {
  t.match(await run(['ca', 'rotate']), {
    code: 2,
    out: '',
    err: 'sallyport: `sallyport ca rotate` is not served by this version.\n',
  })
})

void t.test('a start hands on a whole configuration, or says what is wrong with it', async (t) => {
  const dir = t.testdir({
    'ok.yaml': CONFIGURATION,
    'bad.yaml': 'listne: {}',
    rules: { 'w.yaml': RULES },
  })
  const ok = path.join(dir, 'ok.yaml')
  t.match(await run(['start', '--config', ok]), {
    code: 0,
    started: { renew: false, config: { file: ok, stateDir: path.join(dir, 'state') } },
  })
  t.match(await run(['--config', ok, 'start', '--renew']), { code: 0, started: { renew: true } })
  t.match(await run(['start'], { SALLYPORT_CONFIG: ok }), { started: { config: { file: ok } } })
  t.match(await run(['start', '--config', ok, '--control', 'unix:/x.sock']), {
    started: { config: { control: { listen: { kind: 'unix', path: '/x.sock' } } } },
  })
  const bad = await run(['start', '--config', path.join(dir, 'bad.yaml')])
  t.match(bad, {
    code: 2,
    started: undefined,
    err: /bad\.yaml:1:1: error: unknown key `listne`.*\n.*`listen`/,
  })
  t.match(await run(['start', '--config', path.join(dir, 'absent.yaml')]), {
    code: 2,
    err: /no such file/,
  })
})
