// The benchmark's upstream: 1 KiB over HTTP and HTTPS on loopback, in a process of its own. Started by `bench.ts` with
// the certificate's and the key's files; prints its two ports.

import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'

import { portOf } from '../fixtures/port.ts'

const BODY = Buffer.alloc(1024, 'x')
const [certFile, keyFile] = process.argv.slice(2)

const answer: http.RequestListener = (_request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': BODY.length })
  response.end(BODY)
}
const plain = http.createServer({ noDelay: true, keepAliveTimeout: 60_000 }, answer)
const secure = https.createServer(
  {
    noDelay: true,
    keepAliveTimeout: 60_000,
    cert: readFileSync(certFile!),
    key: readFileSync(keyFile!),
  },
  answer,
)
await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
console.log(JSON.stringify({ http: portOf(plain), https: portOf(secure) }))
