// Packets beside TCP and UDP: raw sockets and ICMP. Node opens neither, so `ping`, and Python or Perl where they are there, do
// it for us. Called by `inside.ts`.

import { execFile } from 'node:child_process'
import net from 'node:net'

import { reporterFor, type Finding } from '../finding.ts'
import { isKeptHere } from './knock.ts'
import { shown } from './ours.ts'
import type { Probe } from './probe.ts'
import type { Surroundings } from './surroundings.ts'

const { ok, warn, fail } = reporterFor('raw')

const TIMEOUT_MS = 4000
const MEND = 'take CAP_NET_RAW from the sandbox, and let it have no route but to the sidecar'

// Each line says which kind of socket or which echo, and `open`, `answered`, `silent` or the error.
const PYTHON = `
import socket as s, sys
for name, args in (("AF_PACKET", (17, s.SOCK_RAW, 0)), ("raw IPv4", (s.AF_INET, s.SOCK_RAW, 1)), ("raw IPv6", (s.AF_INET6, s.SOCK_RAW, 58))):
    try:
        s.socket(*args).close()
        print(name + "=open")
    except OSError as error:
        print(name + "=" + str(error.errno))
for target in sys.argv[1:]:
    six = ":" in target
    try:
        echo = s.socket(s.AF_INET6 if six else s.AF_INET, s.SOCK_DGRAM, 58 if six else 1)
        echo.settimeout(0.9)
        echo.connect((target, 0))
        echo.send(bytes([128 if six else 8, 0, 0, 0, 0, 0, 0, 1]) + b"doctor")
        echo.recv(64)
        print("echo " + target + "=answered")
    except s.timeout:
        print("echo " + target + "=silent")
    except OSError as error:
        print("echo " + target + "=" + str(error.errno))
`
const PERL = `
use Socket;
for (["AF_PACKET", 17, 0], ["raw IPv4", 2, 1], ["raw IPv6", 10, 58]) {
  my ($name, $family, $protocol) = @$_;
  print $name, "=", (socket(my $s, $family, SOCK_RAW, $protocol) ? "open" : $! + 0), "\\n";
}
`

/** Opens what can be opened, and pings each target. */
export const probeRaw: Probe = async (around) =>
  (await Promise.all([openRaw(around), ...around.targets.map((host) => ping(host, around))])).flat()

async function openRaw({ environment, targets }: Surroundings): Promise<readonly Finding[]> {
  const tools = [
    ['python3', ['-I', '-c', PYTHON, ...targets]],
    ['perl', ['-e', PERL]],
  ] as const
  for (const [command, words] of tools) {
    const { output } = await run(command, words, environment)
    const results = [...output.matchAll(/^([\w .:]+)=(\w+)$/gm)]
    if (results.length > 0)
      return Promise.all(results.map(([, name = '', result = '']) => judgeSocket(name, result)))
  }
  return [
    warn(
      'a raw socket',
      'neither python3 nor perl is here',
      'only the capabilities say that none can be opened',
      'nothing to do where those are none',
    ),
  ]
}

async function judgeSocket(name: string, result: string): Promise<Finding> {
  const host = /^echo (.+)$/.exec(name)?.[1]
  if (host === undefined) {
    const tried = `a socket of the kind ${name}`
    return result === 'open'
      ? fail(tried, 'opened', 'packets can be written around every door', MEND)
      : ok(tried, `not opened (error ${result})`, 'no way out')
  }
  const tried = `an ICMP echo by a datagram socket to ${host}`
  if (result === 'answered') return judgeEcho(tried, host, 'answered')
  return ok(tried, result === 'silent' ? 'no answer' : `not sent (error ${result})`, 'no way out')
}

// Where every address is kept here, the kernel answers in the name of each.
async function judgeEcho(tried: string, host: string, happened: string): Promise<Finding> {
  return (await isKeptHere(host))
    ? ok(tried, 'answered by this namespace itself', 'no way out')
    : fail(tried, happened, 'a way out around the sidecar', MEND)
}

async function ping(host: string, { environment }: Surroundings): Promise<Finding[]> {
  const tried = `ICMP echo to ${host}`
  const family = net.isIPv6(host) ? '-6' : '-4'
  const words = [family, '-n', '-c', '1', '-W', '1', host]
  const { code, output } = await run('ping', words, environment)
  if (code === 'ENOENT') return []
  if (code !== 0) return [ok(tried, 'no answer', 'no way out')]
  return [await judgeEcho(tried, host, `answered: ${shown(output)}`)]
}

function run(
  command: string,
  words: readonly string[],
  environment: Surroundings['environment'],
): Promise<{ readonly code: number | string; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(
      command,
      [...words],
      {
        timeout: TIMEOUT_MS,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024,
        env: { PATH: environment['PATH'] ?? '/usr/bin:/bin' },
      },
      (error, output) => resolve({ code: error === null ? 0 : (error.code ?? 1), output }),
    )
  })
}
