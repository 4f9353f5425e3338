// Which requests are git's, and which only look like it.

import t from 'tap'

import { recogniseGit, resemblesGit, type GitHead } from '../../../src/inspect/git/request.ts'

function get(path: string, query?: string): GitHead {
  return { method: 'GET', path, query, headers: ['Host', 'git.test'] }
}

function post(path: string, service: string, ...headers: string[]): GitHead {
  const type = `application/x-git-${service}-request`
  return { method: 'POST', path, query: undefined, headers: ['content-TYPE', type, ...headers] }
}

void t.test('R40: each request of the smart protocol names repository, service and step', (t) => {
  const repo = 'acme/widgets'
  for (const service of ['upload-pack', 'receive-pack'] as const) {
    for (const path of ['/acme/widgets', '/acme/widgets.git']) {
      t.strictSame(recogniseGit(get(`${path}/info/refs`, `service=git-${service}`)), {
        repo,
        service,
        step: 'advertise',
      })
      t.strictSame(recogniseGit(post(`${path}/git-${service}`, service)), {
        repo,
        service,
        step: service === 'upload-pack' ? 'upload' : 'push',
      })
    }
  }
  for (const name of ['.github', 'a.b', 'Widgets', '~me/x', 'a/b/c/d', 'x.GIT.y', 'git'])
    t.equal(recogniseGit(get(`/${name}.git/info/refs`, 'service=git-upload-pack'))?.repo, name)
  t.end()
})

void t.test('a path with more than one reading is no repository', (t) => {
  const paths = [
    '',
    '/.git',
    '/acme/.git',
    '/acme/',
    '/acme//widgets',
    '//acme/widgets',
    '/acme/./widgets',
    '/acme/../widgets',
    '/..',
    '/acme/widgets/.',
    '/acme/widgets/..',
    '/acme%2fwidgets',
    '/acme/%77idgets',
    '/acme/widgets%2egit',
    '/acme\\widgets',
    '/acme/widgets;x',
    '/acme;/widgets',
    '/acme/widgets.git.git',
    '/acme/widgets.GIT',
    '/acme/widgets.Git.git',
    '/acme/wid\u00e9gets',
    '/acme/wid gets',
    '/acme/widgets?',
    '/acme/widgets\n',
    `/${'a'.repeat(2000)}`,
  ]
  for (const path of paths) {
    t.equal(recogniseGit(get(`${path}/info/refs`, 'service=git-upload-pack')), undefined, path)
    t.equal(recogniseGit(post(`${path}/git-receive-pack`, 'receive-pack')), undefined, path)
  }
  t.end()
})

void t.test('the dumb protocol and requests near the smart one are not git', (t) => {
  const refs = '/acme/widgets/info/refs'
  const queries = [
    undefined,
    '',
    'service=',
    'service=git-upload-archive',
    'service=git-upload-pack&',
    '&service=git-upload-pack',
    'service=git-upload-pack&service=git-receive-pack',
    'service=git-upload-pack&x=1',
    'x=1&service=git-upload-pack',
    'Service=git-upload-pack',
    'service=git-Upload-pack',
    'service=git%2dupload-pack',
    'service=git-upload-pack%00',
    'service=git-upload-pack ',
    'service=git-receive-pack#',
    'service[]=git-upload-pack',
  ]
  for (const query of queries) t.equal(recogniseGit(get(refs, query)), undefined, `${query}`)
  const query = 'service=git-upload-pack'
  for (const method of ['HEAD', 'POST', 'get', 'PUT', 'OPTIONS'])
    t.equal(recogniseGit({ ...get(refs, query), method }), undefined, method)
  for (const path of [
    '/acme/widgets/HEAD',
    '/acme/widgets/objects/info/packs',
    `${refs}/`,
    '/info/refs',
    '/INFO/refs',
  ])
    t.equal(recogniseGit(get(path, query)), undefined, path)
  t.end()
})

void t.test(
  'a service is asked for with its own content type, without parameters and uncompressed',
  (t) => {
    const path = '/acme/widgets/git-receive-pack'
    const good = post(path, 'receive-pack')
    t.ok(recogniseGit(good))
    const others: GitHead[] = [
      { ...good, query: '' },
      { ...good, query: 'a=b' },
      { ...good, method: 'GET' },
      { ...good, headers: [] },
      post(path, 'upload-pack'),
      post(path, 'receive-pack', 'Content-Type', 'application/x-git-receive-pack-request'),
      { ...good, headers: ['Content-Type', 'application/x-git-receive-pack-request; a=b'] },
      { ...good, headers: ['Content-Type', 'application/x-git-receive-pack-Request'] },
      post('/acme/widgets/git-receive-pack/', 'receive-pack'),
      post('/acme/widgets/git-Receive-pack', 'receive-pack'),
      post('/git-receive-pack', 'receive-pack'),
      post(path, 'receive-pack', 'Content-Encoding', 'gzip'),
      post(path, 'receive-pack', 'Content-Encoding', 'identity'),
      post(path, 'receive-pack', 'Content-Encoding', ''),
      post('/acme/widgets/git-upload-pack', 'upload-pack', 'Content-Encoding', 'br'),
      post('/acme/widgets/git-upload-pack', 'upload-pack', 'Content-Encoding', 'gzip, gzip'),
      post('/acme/widgets/git-upload-archive', 'upload-archive'),
    ]
    for (const head of others) t.equal(recogniseGit(head), undefined, JSON.stringify(head))
    t.ok(
      recogniseGit(
        post('/acme/widgets/git-upload-pack', 'upload-pack', 'Content-Encoding', 'gzip'),
      ),
    )
    t.end()
  },
)

void t.test('what is not git but could be taken for it is told from what could not', (t) => {
  const near: GitHead[] = [
    get('/acme/widgets/info/refs'),
    get('/acme/widgets/info/refs', 'service=git-upload-pack&x=1'),
    get('/acme/%77idgets/info/refs', 'service=git-upload-pack'),
    get('/acme/widgets/INFO/refs'),
    get('/acme/widgets/info%2frefs'),
    get('/acme/widgets/info%252Frefs'),
    get('/acme/widgets/info\\refs'),
    get('/acme/widgets/info;x/refs;y'),
    get('/acme/widgets/info//refs'),
    get('/acme/widgets/info/refs/'),
    get('/acme/widgets.git/HEAD'),
    get('/acme/widgets/objects/info/packs'),
    get('/acme/widgets/objects/ab/cdef'),
    get('/x', 'service=git%2Dupload-pack'),
    { ...post('/acme/widgets/git-upload-pack', 'upload-pack'), headers: [] },
    { ...post('/acme/widgets/Git-Receive-Pack', 'receive-pack'), method: 'PUT' },
    post('/x', 'receive-pack'),
  ]
  for (const head of near) {
    t.equal(recogniseGit(head), undefined, head.path)
    t.ok(resemblesGit(head), head.path)
  }
  for (const path of [
    '/',
    '/acme/widgets',
    '/acme/widgets/issues/7',
    '/acme/widgets.git/info/lfs/objects/batch',
    '/acme/git-tools/head',
  ])
    t.notOk(resemblesGit(get(path, 'q=a%20b')), path)
  t.ok(resemblesGit(get('/acme/widgets/info/refs', 'service=git-upload-pack')), 'git itself too')
  t.end()
})
