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
const { enableCompileCache } = process.getBuiltinModule('node:module')
const root = `${import.meta.dirname}/..`
const build = `${root}/dist`

if (isNewerThanSources(`${build}/main.js`)) {
  // Beside the build, so that whoever could put code into the cache could change the program itself. Where it cannot be
  // written, such as in an image, node goes on with what is there, or without.
  enableCompileCache(`${build}/.compile-cache`)
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
