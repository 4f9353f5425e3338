// `sallyport ca show`: the interception CA's public part, as a client's owner wants to compare it. Called by `program.ts`.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'

import type { Command } from 'commander'

import { configFor, shortPath, type CommonOptions } from './common.ts'
import { EXIT_CODES, printJson, UsageError, type CommandIo } from './io.ts'
import { addNotServed } from './not-served.ts'

/** Adds the verb with its parts. */
export function registerCa(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const ca = program.command('ca').description('the interception CA')
  ca.command('show')
    .description("show the CA's certificate and where it is")
    .option('--pem', 'print the certificate itself')
    .action((_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { readonly pem?: boolean }>()
      exit(showCa(configFor(options, io, false).ca.dir, options, io))
    })
  addNotServed(ca, 'rotate', 'ca rotate')
}

function showCa(
  dir: string,
  options: { readonly pem?: boolean; readonly json?: boolean },
  io: CommandIo,
): number {
  const file = path.join(dir, 'ca.crt')
  const pem = readPem(file)
  if (pem === undefined) {
    io.err(`there is no ${shortPath(file)} yet: it is made at the first \`sallyport start\`\n`)
    return EXIT_CODES.no
  }
  const certificate = parseCertificate(pem, file)
  const shown = {
    subject: certificate.subject.replaceAll('\n', ', '),
    serial: certificate.serialNumber,
    sha256: certificate.fingerprint256,
    validFrom: certificate.validFromDate.toISOString(),
    validTo: certificate.validToDate.toISOString(),
    certificate: file,
    bundle: path.join(dir, 'ca-bundle.crt'),
  }
  if (options.json === true) printJson(io, shown)
  else if (options.pem === true) io.out(pem)
  else {
    const entries = Object.entries({
      ...shown,
      certificate: shortPath(shown.certificate),
      bundle: shortPath(shown.bundle),
    })
    for (const [name, value] of entries) io.out(`${name.padEnd(12)} ${value}\n`)
  }
  return EXIT_CODES.ok
}

function readPem(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function parseCertificate(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch {
    throw new UsageError(`${shortPath(file)} is no certificate`)
  }
}
