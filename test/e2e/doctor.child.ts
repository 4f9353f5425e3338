// What a test opens on purpose: servers that are not the sidecar's, in a namespace. Started by `namespaces.ts`; not a test
// itself. Says `ready` when it listens.

import { spawn } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'

import { decode, encode } from 'dns-packet'

const [kind, ...words] = process.argv.slice(2)

function serveTcp(host: string, port: number, says: string): Promise<void> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    if (says === '') socket.resume()
    else socket.end(says)
  })
  return new Promise((resolve) => server.listen(port, host, resolve))
}

/** Answers every datagram with itself. */
function serveUdp(host: string, port: number): Promise<void> {
  const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address))
  return new Promise((resolve) => socket.bind(port, host, resolve))
}

/** Answers every name with one address. */
function serveDns(host: string): Promise<void> {
  const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (bytes, from) => {
    const { id, questions = [] } = decode(bytes)
    const [question] = questions
    if (question === undefined) return
    const answers = [{ type: 'A' as const, name: question.name, ttl: 1, data: '192.0.2.7' }]
    const answer = encode({ type: 'response', ...(id !== undefined && { id }), questions, answers })
    socket.send(answer, from.port, from.address)
  })
  return new Promise((resolve) => socket.bind(53, host, resolve))
}

function servePath(path: string): Promise<void> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.resume()
  })
  return new Promise((resolve) => server.listen({ path }, resolve))
}

/** Takes datagrams, which takes another program than Node. */
async function serveDatagrams(name: string): Promise<void> {
  const program = `import socket, sys
taker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); taker.bind(chr(0) + '${name}')
print('bound', flush=True); sys.stdin.read()`
  const python = spawn('python3', ['-c', program], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(python.stdout, 'data')
}

const [host = '', port = ''] = words
if (kind === 'tcp') await serveTcp(host, Number(port), 'a stranger\n')
else if (kind === 'silent') await serveTcp(host, Number(port), '')
else if (kind === 'udp') await serveUdp(host, Number(port))
else if (kind === 'dns') await serveDns(host)
else if (kind === 'unix') await servePath(host)
else if (kind === 'abstract') await servePath(`\0${host}`)
else if (kind === 'datagrams') await serveDatagrams(host)
else throw new Error(`what is ${kind}?`)
process.stdout.write('ready\n')
process.on('SIGTERM', () => process.exit(0))
