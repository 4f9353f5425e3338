#!/usr/bin/env node
// The command's entry: runs the sources where they are present (a checkout), else the build.
// Deliberately plain JavaScript without imports, so that a Node too old for either says so in one sentence.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `sallyport needs Node 22.19 or newer, this is ${process.versions.node}: run it by \`npm start\` or \`npx sallyport\`, which bring Node 24 along, or install Node 24.`,
  )
  process.exit(2)
}
const { existsSync } = await import('node:fs')
const { enableCompileCache } = await import('node:module')
const { fileURLToPath } = await import('node:url')
// Beside the program itself: whoever could write there could write the program. Where nobody can, as in the image, what the
// build left there is read. Without a cache the start is only slower.
enableCompileCache?.(fileURLToPath(new URL('../node_modules/.cache/sallyport', import.meta.url)))
const source = new URL('../src/main.ts', import.meta.url)
await import(existsSync(source) ? source.href : new URL('../dist/main.js', import.meta.url).href)
