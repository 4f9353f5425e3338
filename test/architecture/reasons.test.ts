// Holds the table of reasons to its promises, to its documentation, and to the code that uses it.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { REASONS, type ReasonRow } from '../../src/errors.ts'
import { CONTROL_REASONS } from '../../src/tasks/control-error.ts'

const controlRows = Object.entries(CONTROL_REASONS)
const rows: [string, ReasonRow][] = Object.entries(REASONS)
const documentFile = 'docs/reasons.md'

// What docs/reasons.md must say of the table, token by token. `UPDATE_DOCS=1` rewrites it.
function render(): string {
  const intro = `# Reasons

The one closed table of \`src/errors.ts\`. The same token is the reason phrase's word, the \`reason\` of the problem body and of
\`Proxy-Status\`, \`event.reason\` in the record and the label of \`sallyport_calls_total\`. \`retry\`: \`no\`, \`later\` (by itself),
\`after-change\` (once somebody changed something). Status \`-\`: in records only.
`
  const sections = rows.map(
    ([token, { status, proxyStatus, phase, retry, title, remedy }]) => `
## ${token}

${title[0]!.toUpperCase()}${title.slice(1)}.

| status | Proxy-Status error | stage | retry |
| --- | --- | --- | --- |
| ${status || '-'} | ${proxyStatus} | ${phase} | ${retry} |
${remedy === '-' ? '' : `\n${remedy}\n`}`,
  )
  const control = controlRows.map(
    ([token, { status, title, remedy }]) => `
### ${token}

${title[0]!.toUpperCase()}${title.slice(1)}. Status ${status}.

${remedy}
`,
  )
  return `${intro}${sections.join('')}
## Of the control API

The small table of \`src/tasks/control-error.ts\`: answered to principals of the control API, see [control.md](control.md),
besides those above that fit there too.
${control.join('')}`
}

void t.test('every token has the form of the agents.net draft', async (t) => {
  for (const [token] of [...rows, ...controlRows]) t.match(token, /^[a-z0-9-]{1,32}$/)
})

void t.test('no token stands in both tables', async (t) => {
  for (const [token, { status, remedy }] of controlRows) {
    t.notOk(Object.hasOwn(REASONS, token), token)
    t.ok(status >= 400 && remedy.length > 10, token)
  }
})

void t.test(
  'every reason that is sent has a status, an error type and a remedy; the others have none of these',
  async (t) => {
    for (const [token, row] of rows) {
      const sent = row.phase !== 'terminal'
      t.equal(row.status > 0, sent, token)
      t.equal(row.proxyStatus !== '-', sent, token)
      t.ok(!sent || row.remedy.length > 10, token)
    }
  },
)

void t.test('docs/reasons.md says what the table says', async (t) => {
  if (process.env['UPDATE_DOCS']) {
    const { writeFileSync } = await import('node:fs')
    writeFileSync(documentFile, render())
  }
  t.equal(readFileSync(documentFile, 'utf8'), render())
})

void t.test('every reason is used in src', (t) => {
  const source = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== 'errors.ts')
    .map((name) => readFileSync(path.join('src', name), 'utf8'))
    .join('\n')
  for (const [token] of rows) t.ok(source.includes(`'${token}'`), token)
  t.end()
})
