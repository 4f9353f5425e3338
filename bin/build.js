// Builds `dist/`: the program's modules and those of the packages that a start needs, put together into few files, as finding,
// reading and linking a thousand modules takes longer than all else of a start. What is loaded by name stays a file of its own
// (`src/program.ts`); the packages in `APART` are loaded from `node_modules/` once they are needed. Types are `tsc`'s.
import { rmSync } from 'node:fs'
import path from 'node:path'

import { build } from 'esbuild'

import { LOADED_LATER, STARTED } from '../src/program.ts'

const root = path.join(import.meta.dirname, '..')
const outdir = path.resolve(process.argv[2] ?? path.join(root, 'dist'))
/** Large, and no part of a start. */
const APART = ['graphql', 'undici']

/** The schema library brings its messages in fifty languages, of which none but its own is used. */
const withoutTranslations = {
  name: 'without-translations',
  setup({ onLoad }) {
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({ contents: 'export {}' }))
  },
}

rmSync(outdir, { recursive: true, force: true })
await build({
  entryPoints: [...STARTED, ...LOADED_LATER].map((module) => path.join(root, `src/${module}.ts`)),
  outbase: path.join(root, 'src'),
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  external: APART,
  plugins: [withoutTranslations],
  // Packages of the older module format ask for the runtime's own modules by this name.
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
})
