// What a person finds first in a bundle: what it is, and how to check it with and without this program. Pure. Called by
// `write-bundle.ts`.

import { escapeUnprintable } from '../printable.ts'
import type { EvidenceScope } from './derive.ts'

/** The text of `README.txt`. */
export function readmeText(scope: EvidenceScope): string {
  const about =
    'task' in scope
      ? `task ${escapeUnprintable(scope.task)} and the tasks below it`
      : `the time from ${escapeUnprintable(scope.since ?? 'the beginning')} to ${escapeUnprintable(scope.until ?? 'the end')}`
  return `Evidence of ${about}

manifest.json       what is in here, with the hash of each member, and what is missing and why
inventory.json      sandbox, agent, workload identity, credentials, owner; children; hosts and tools reached
records.ndjson      the records, byte for byte as they were written
decisions.ndjson    one line a decision: who, what, when, why, under which rule
context.ndjson      records of no task that belong to it: rules loaded, kill switches, checks of the program
rules/              the rule files that decided, by their SHA-256
checkpoints.ndjson  the signed statements of how far the records had come
seal.json           the one that closed the task's records, once it has ended
receipt.json        the signed receipt of the task's end: what ended, when, what is still exposed
keys.json           the public keys of both
controls.json, .md  the controls of each framework, how far they are met, and which records show it

Check it with the public key that you were given by another way than this bundle:

  sallyport verify BUNDLE --key KEY

By hand:

1. Each member is what the manifest says:
     tar -xf BUNDLE && sha256sum inventory.json        (compare with manifest.json)
2. Each rule file is what the records name (rule.version):
     sha256sum rules/*.yaml
3. Each record names the one before it in its task, as the SHA-256 of that line without its newline
   (sallyport.chain.task.prev; sallyport.chain.prev where the bundle is of a period):
     sed -n 1p records.ndjson | tr -d '\\n' | sha256sum
4. A checkpoint states the hash of a line (seq is sallyport.chain.task.seq). What is signed is this text, each line ended by a
   newline; \`task\` and \`final\` only where the checkpoint has them:
     sallyport checkpoint 1
     journal JOURNAL
     task TASK
     seq SEQ
     hash sha256:HASH
     time TIME
     final
     key KEY
   With the key in PEM (the member x of its JWK is the raw key in base64url, RFC 8037; in front of it, in hex, goes
   302a300506032b6570032100 for DER):
     openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in text -sigfile signature
   The signature is in base64url.
5. The receipt is signed over its own JSON without \`signature\`, members in their order, no spaces.

What this cannot show: that nothing was written behind the last checkpoint. A sealed task has none to miss.
`
}
