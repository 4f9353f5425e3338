// Proves what `sallyport doctor` takes. What it finds is proved by `test/e2e/doctor.test.ts`, in namespaces where nothing leads
// out: no probe runs here.

import t from 'tap'

import { run } from './support.ts'

void t.test('a wrong use of the doctor is told, and nothing is tried', async (t) => {
  t.match(await run(['doctor', '--target', '192.0.2.1']), {
    code: 2,
    out: '',
    err: /`--target` goes with `--inside`/,
  })
  for (const target of ['example.com', '192.0.2', '192.0.2.1:80', ''])
    t.match(
      await run(['doctor', '--inside', '--target', target]),
      { code: 2, out: '', err: /expected an IPv4 or IPv6 address/ },
      target,
    )
  t.match(await run(['doctor', '--outside']), { code: 2, err: /unknown option/ })
  t.match(await run(['doctor', '--config', '/nowhere/sallyport.yaml']), {
    code: 1,
    out: /^fail configuration: \/nowhere\/sallyport\.yaml:1:1: there is no such file; .*\n/m,
  })
})
