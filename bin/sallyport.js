#!/usr/bin/env node
// The command's entry: runs the build, or the sources of a checkout that were changed since. What node compiles of the
// build is kept beside it for the next start. Deliberately plain JavaScript without static imports, so that a Node too old
// for either says so in one sentence.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `sallyport needs Node 22.19 or newer, this is ${process.versions.node}: run it by \`npm start\` or \`npx sallyport\`, which bring Node 24 along, or install Node 24.`,
  )
  process.exit(2)
}
const { existsSync, readdirSync, statSync } = process.getBuiltinModule('node:fs')
const { enableCompileCache, registerHooks } = process.getBuiltinModule('node:module')
const root = `${import.meta.dirname}/..`
const build = `${root}/dist`

if (isNewerThanSources(`${build}/main.js`)) {
  // Beside the build, so that whoever could put code into the cache could change the program itself. Where it cannot be
  // written, such as in an image, node goes on with what is there, or without.
  enableCompileCache(`${build}/.compile-cache`)
  resolveQuickly()
  await import('../dist/main.js')
} else await import('../src/main.ts')

/** An installed package has no sources; a checkout's are changed, and tested, without a build. */
function isNewerThanSources(file) {
  const builtAt = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const isOlder = (folder) =>
    readdirSync(folder, { withFileTypes: true }).every((entry) => {
      const name = `${folder}/${entry.name}`
      return entry.isDirectory() ? isOlder(name) : statSync(name).mtimeMs < builtAt
    })
  const sources = `${root}/src`
  return builtAt > 0 && (!existsSync(sources) || isOlder(sources))
}

/**
 * Answers what has one answer anyhow without asking the disk: node looks for each file, for links on its way and for the
 * package it is in, a few hundred times a start. Everything else is left to node.
 */
function resolveQuickly() {
  const { href: own } = new URL('../dist/', import.meta.url)
  const packages = [
    { within: '/node_modules/zod/', format: 'module' },
    { within: '/node_modules/yaml/', format: 'commonjs' },
  ]
  const formatIn = (parent) =>
    parent.startsWith(own)
      ? 'module'
      : packages.find(({ within }) => parent.includes(within))?.format
  registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier.startsWith('node:'))
        return { url: specifier, format: 'builtin', shortCircuit: true }
      const parent = context.parentURL ?? ''
      const isFile = /^\.\.?\/.*\.js$/.test(specifier)
      const format = isFile ? formatIn(parent) : undefined
      if (format === undefined) return next(specifier, context)
      // The schema library brings its messages in fifty languages, a file each, of which none but its own is used.
      if (specifier === '../locales/index.js' && parent.includes('/node_modules/zod/'))
        return { url: 'data:text/javascript,export {}', format, shortCircuit: true }
      return { url: join(parent, specifier), format, shortCircuit: true }
    },
  })
}

/** A relative specifier against its parent's address. */
function join(parent, specifier) {
  let end = parent.lastIndexOf('/')
  let rest = specifier.startsWith('./') ? specifier.slice(2) : specifier
  while (rest.startsWith('../')) {
    end = parent.lastIndexOf('/', end - 1)
    rest = rest.slice(3)
  }
  return parent.slice(0, end + 1) + rest
}
