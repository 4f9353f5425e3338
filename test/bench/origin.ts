// The benchmark's upstream: 1 KiB over HTTP and HTTPS on loopback, in a process of its own; and what an MCP server and a model
// answer, by their paths. Started by `bench.ts` with the certificate's and the key's files, and perhaps an address whose port 443
// it is to take; prints its ports.

import { readFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'

import { portOf } from '../fixtures/port.ts'

const BODY = Buffer.alloc(1024, 'x')
const [certFile, keyFile, address443] = process.argv.slice(2)

const TOKENS = 20
const RESULT = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  result: { content: [{ type: 'text', text: 'x'.repeat(512) }] },
})

const answer: http.RequestListener = (request, response) => {
  if (request.method === 'POST') {
    request.resume()
    request.once('end', () => (request.url === '/mcp' ? answerTool(response) : stream(response)))
    return
  }
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': BODY.length })
  response.end(BODY)
}

function answerTool(response: http.ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': RESULT.length })
  response.end(RESULT)
}

// One event a turn of the loop, as tokens come.
function stream(response: http.ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' })
  let sent = 0
  const next = (): void => {
    if (sent === TOKENS) {
      response.end(`${chunk({}, 'stop')}data: [DONE]\n\n`)
      return
    }
    sent += 1
    response.write(chunk({ content: 'token ' }, null))
    setImmediate(next)
  }
  next()
}

function chunk(delta: object, finish: string | null): string {
  const choices = [{ index: 0, delta, finish_reason: finish }]
  return `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'bench', choices })}\n\n`
}

const plain = http.createServer({ noDelay: true, keepAliveTimeout: 60_000 }, answer)
const pair = { cert: readFileSync(certFile!), key: readFileSync(keyFile!) }
const options = { noDelay: true, keepAliveTimeout: 60_000, ...pair }
const secure = https.createServer(options, answer)
const multiplexed = http2.createSecureServer(pair, (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': BODY.length })
  response.end(BODY)
})
await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
await new Promise<void>((resolve) => multiplexed.listen(0, address443 ?? '127.0.0.1', resolve))
if (address443 !== undefined)
  await new Promise<void>((resolve) =>
    https.createServer(options, answer).listen(443, address443, resolve),
  )
console.log(JSON.stringify({ http: portOf(plain), https: portOf(secure), h2: portOf(multiplexed) }))
