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

// Each line says which kind of socket, and `open` or the error.
const PYTHON = `
import socket as s
for name, args in (("AF_PACKET", (17, s.SOCK_RAW, 0)), ("raw IPv4", (s.AF_INET, s.SOCK_RAW, 1)), ("raw IPv6", (s.AF_INET6, s.SOCK_RAW, 58))):
    try:
        s.socket(*args).close()
        print(name + "=open")
    except OSError as error:
        print(name + "=" + str(error.errno))
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

async function openRaw({ environment }: Surroundings): Promise<Finding[]> {
  const tools = [
    ['python3', ['-I', '-c', PYTHON]],
    ['perl', ['-e', PERL]],
  ] as const
  for (const [command, words] of tools) {
    const { output } = await run(command, words, environment)
    const results = [...output.matchAll(/^([\w ]+)=(\w+)$/gm)]
    if (results.length > 0)
      return results.map(([, name = '', result = '']) =>
        result === 'open'
          ? fail(
              `a socket of the kind ${name}`,
              'opened',
              'packets can be written around every door',
              MEND,
            )
          : ok(`a socket of the kind ${name}`, `not opened (error ${result})`, 'no way out'),
      )
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

async function ping(host: string, { environment }: Surroundings): Promise<Finding[]> {
  const tried = `ICMP echo to ${host}`
  const family = net.isIPv6(host) ? '-6' : '-4'
  const words = [family, '-n', '-c', '1', '-W', '1', host]
  const { code, output } = await run('ping', words, environment)
  if (code === 'ENOENT') return []
  if (code !== 0) return [ok(tried, 'no answer', 'no way out')]
  // Where every address is kept here, the kernel answers in the name of each.
  if (await isKeptHere(host)) return [ok(tried, 'answered by this namespace itself', 'no way out')]
  return [fail(tried, `answered: ${shown(output)}`, 'a way out around the sidecar', MEND)]
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
