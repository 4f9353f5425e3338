// Problems as SARIF 2.1.0, the format that code-scanning services read. Pure; called by `check.ts`.

import path from 'node:path'
import { pathToFileURL } from 'node:url'

import type { Problem } from '../policy/problem.ts'

/** Makes the log of one run. */
export function toSarif(problems: readonly Problem[], version: string): object {
  const codes = [...new Set(problems.map(({ code }) => code))].sort()
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'sallyport check',
            semanticVersion: version,
            rules: codes.map((id) => ({ id, shortDescription: { text: id.replaceAll('-', ' ') } })),
          },
        },
        originalUriBaseIds: { ROOT: { uri: `${pathToFileURL(process.cwd()).href}/` } },
        columnKind: 'unicodeCodePoints',
        results: problems.map((problem) => ({
          ruleId: problem.code,
          ruleIndex: codes.indexOf(problem.code),
          level: problem.severity,
          message: { text: textOf(problem) },
          locations: [
            {
              physicalLocation: {
                artifactLocation: locate(problem.file),
                region: { startLine: problem.line, startColumn: problem.column },
              },
            },
          ],
        })),
      },
    ],
  }
}

function textOf({ message, hint }: Problem): string {
  return hint === undefined ? message : `${message}: ${hint}`
}

function locate(file: string): object {
  const relative = path.relative(process.cwd(), path.resolve(file))
  if (relative.startsWith('..')) return { uri: pathToFileURL(path.resolve(file)).href }
  return { uri: encodeURI(relative.split(path.sep).join('/')), uriBaseId: 'ROOT' }
}
