// The last step of loading: sections as written become the one resolved object, paths absolute. Pure; called by `load.ts`.

import path from 'node:path'

import type { ControlTls } from '../control/server.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import type { Config, TaskDefinition } from './config.ts'
import { resolvePrincipal, type ControlSection } from './control-schema.ts'
import type { CredentialSection } from './credentials/credential-schema.ts'
import { completePlaceholders } from './credentials/placeholder-schema.ts'
import { resolveLocal, resolveSource } from './credentials/resolve-source.ts'
import { resolveProfiles } from './profile-schema.ts'
import type { IdentitySection } from './identity-schema.ts'
import type { ReviewerSection } from './reviewer-schema.ts'
import type { Sections, TaskSection } from './schema.ts'
import { resolveSink } from './sink-schema.ts'
import type { ProxySection } from './upstream-schema.ts'
import type { ListenAddress } from './units.ts'

/** Resolves complete sections against the directory that relative paths are relative to. */
export function resolveConfig(
  sections: Sections,
  file: string | undefined,
  baseDir: string,
): Config {
  const absolute = (written: string): string => path.resolve(baseDir, written)
  const bind = (address: ListenAddress): ListenAddress =>
    address.kind === 'unix' ? { kind: 'unix', path: absolute(address.path) } : address
  const { listen, control, ca, rules, state, journal, upstream } = sections
  const { retain, ...kept } = journal
  return {
    file,
    listen: resolveListen(listen, bind),
    control: {
      listen: bind(control.listen),
      tokenFile: control.tokenFile === undefined ? undefined : absolute(control.tokenFile),
      principals: control.principals.map((principal) => resolvePrincipal(principal, absolute)),
      tls: control.tls && resolveTls(control.tls, absolute),
    },
    ca: { dir: absolute(ca.dir), keyFile: absolute(ca.key), lifetimeMs: ca.lifetime },
    rules: { dir: absolute(rules.dir), always: rules.always },
    stateDir: absolute(state.dir),
    task: sections.task && resolveTask(sections.task),
    identity: resolveIdentity(sections.identity, absolute),
    credentials: Object.entries(sections.credentials).map(([name, credential]) =>
      resolveCredential(name, credential, absolute),
    ),
    journal: { ...kept, dir: absolute(journal.dir), retainMs: retain },
    record: sections.record,
    redact: sections.redact,
    sinks: sections.sinks.map((sink) => resolveSink(sink, absolute)),
    refusals: sections.refusals,
    upstream: {
      hosts: upstream.hosts,
      resolver: upstream.resolver,
      allowAddresses: upstream.allowAddresses,
      caFiles: upstream.ca.map(absolute),
      proxy: upstream.proxy && resolveProxy(upstream.proxy, absolute),
    },
    hooks: sections.hooks,
    reviewers: Object.fromEntries(
      Object.entries(sections.reviewers).map(([name, reviewer]) => [
        name,
        resolveReviewer(reviewer, absolute),
      ]),
    ),
    profiles: resolveProfiles(sections.profiles),
    limits: sections.limits,
  }
}

function resolveListen(
  { proxy, socks, transparent = {}, health }: Sections['listen'],
  bind: (address: ListenAddress) => ListenAddress,
): Config['listen'] {
  return {
    proxy: bind(proxy),
    socks: socks && bind(socks),
    transparent: {
      http: transparent.http && bind(transparent.http),
      tls: transparent.tls && bind(transparent.tls),
      dns: transparent.dns && bind(transparent.dns),
    },
    health: bind(health),
  }
}

function resolveReviewer(
  { webhook, teams }: ReviewerSection,
  absolute: (written: string) => string,
): ReviewerSection {
  const { secret } = webhook
  return {
    webhook: { ...webhook, secret: 'file' in secret ? { file: absolute(secret.file) } : secret },
    teams,
  }
}

function resolveProxy(
  { auth, ...proxy }: ProxySection,
  absolute: (written: string) => string,
): ProxySection {
  if (auth === undefined) return proxy
  const { user, password } = auth
  return {
    ...proxy,
    auth: {
      user,
      password: resolveLocal(password, absolute),
    },
  }
}

function resolveTls(
  { cert, key, clientCa }: NonNullable<ControlSection['tls']>,
  absolute: (written: string) => string,
): ControlTls {
  return {
    certFile: absolute(cert),
    keyFile: absolute(key),
    clientCaFile: clientCa === undefined ? undefined : absolute(clientCa),
  }
}

/** Makes a definition of a task as it is written. */
export function resolveTask({
  expires,
  identity,
  sandbox,
  principal,
  notBefore,
  capabilities,
  labels,
  observe,
  limits,
  ...task
}: TaskSection): TaskDefinition {
  const { id, image, hooks } = sandbox
  return {
    ...task,
    ...(principal !== undefined && { principal }),
    ...(notBefore !== undefined && { notBefore }),
    ...(capabilities && { capabilities }),
    ...(labels && { labels }),
    ...(observe === true && { observe }),
    ...(limits && { limits }),
    sandbox: {
      id,
      ...(image !== undefined && { image }),
      ...(hooks?.end !== undefined && { hooks: { end: hooks.end } }),
    },
    sources: identity.sources ?? [],
    lifetimeMs: expires,
  }
}

function resolveIdentity(
  { token, jwt, mtls }: IdentitySection,
  absolute: (written: string) => string,
): Config['identity'] {
  return {
    token,
    jwt: jwt && {
      issuer: jwt.issuer,
      audience: jwt.audience,
      jwks: jwt.jwks.includes('://') ? { url: jwt.jwks } : { file: absolute(jwt.jwks) },
    },
    clientCaFile: mtls && absolute(mtls.ca),
  }
}

function resolveCredential(
  name: string,
  { source, placeholder, ...credential }: CredentialSection,
  absolute: (written: string) => string,
): CredentialDefinition {
  return {
    ...credential,
    name,
    source: resolveSource(source, absolute),
    ...completePlaceholders(name, credential.inject.kind, placeholder),
  }
}
