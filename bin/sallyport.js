#!/usr/bin/env node
// The command's entry: runs the sources where they are present (a checkout), else the build, which it lets node compile
// once and keep. Deliberately plain JavaScript without static imports, so that a Node too old for either says so in one
// sentence.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `sallyport needs Node 22.19 or newer, this is ${process.versions.node}: run it by \`npm start\` or \`npx sallyport\`, which bring Node 24 along, or install Node 24.`,
  )
  process.exit(2)
}
const { existsSync } = process.getBuiltinModule('node:fs')
const { fileURLToPath } = process.getBuiltinModule('node:url')
const source = new URL('../src/main.ts', import.meta.url)
if (existsSync(source)) await import(source.href)
else {
  const cache = fileURLToPath(new URL('../dist/.compile-cache', import.meta.url))
  process.getBuiltinModule('node:module').enableCompileCache(cache)
  await import(new URL('../dist/main.js', import.meta.url).href)
}
