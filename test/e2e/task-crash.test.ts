// What ended stays so over a crash, also where there was no room on the disk to write it down.

import { rmSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { ruleSet, scenario } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, stateOf } from '../fixtures/tasks.ts'

void t.test('an end that was not written down', async (t) => {
  const options = {
    expires: null,
    hosts: ['up.test'],
    rules: ruleSet(`id: up, allow: 'http://up.test:9', addresses: ['127.0.0.0/8']`),
  }
  scenario(t, 'is known by the key that is gone', options, async (cx, t) => {
    const [one, other] = [await makeTask(cx), await makeTask(cx)]
    await cx.stop('SIGKILL')
    // As the ending leaves it where nothing can be appended to tasks.ndjson.
    rmSync(path.join(cx.directory, `state/task-ca/${one.id}.pem`))
    await cx.start()
    t.match(await getAs(cx, one, 'http://up.test:9/'), /403 Sallyport: task-ended/)
    t.match((await api(cx, 'GET', `/v1/tasks/${one.id}`)).body, { cause: 'revoked' })
    t.equal(await stateOf(cx, other.id), 'active', 'the other one goes on')
  })
})
