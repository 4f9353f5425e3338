// Every variable that a client in a sandbox needs to use the proxy and to trust its CA. Pure. Called by `cli/env.ts` and
// `control-parts.ts`; what it says is what the tests' real clients are given.

import path from 'node:path'

/** The proxy as a client is told of it. */
interface ProxyPlace {
  readonly host: string
  readonly port: number
  /** What proves the task; absent where the listener does. */
  readonly login?: { readonly user: string; readonly password: string }
}

/** What the variables are made from. */
export interface ClientFacts {
  /** Where clients reach the proxy; undefined where no variable can say it (a unix socket). */
  readonly proxy: ProxyPlace | undefined
  /** Our certificate alone, for clients that add to their own roots. */
  readonly caFile: string
  /** The public roots and ours, for clients that replace their roots. */
  readonly bundleFile: string
}

/** Never proxied: the sandbox itself, and nothing else, since each entry is a way around the proxy. */
const NO_PROXY = 'localhost,127.0.0.1,::1'

/** Variables by name, in the order in which they are printed. */
export function clientVariables({
  proxy,
  caFile,
  bundleFile,
}: ClientFacts): Record<string, string> {
  return {
    ...(proxy && proxyVariables(proxy)),
    // These replace the client's own roots, so they name the bundle.
    SSL_CERT_FILE: bundleFile,
    WGETRC: path.join(path.dirname(bundleFile), 'wgetrc'),
    CURL_CA_BUNDLE: bundleFile,
    GIT_SSL_CAINFO: bundleFile,
    REQUESTS_CA_BUNDLE: bundleFile,
    PIP_CERT: bundleFile,
    AWS_CA_BUNDLE: bundleFile,
    CARGO_HTTP_CAINFO: bundleFile,
    NIX_SSL_CERT_FILE: bundleFile,
    npm_config_cafile: bundleFile,
    YARN_HTTPS_CA_FILE_PATH: bundleFile,
    BUNDLE_SSL_CA_CERT: bundleFile,
    CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE: bundleFile,
    GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: bundleFile,
    // These add to them.
    NODE_EXTRA_CA_CERTS: caFile,
    DENO_CERT: caFile,
    JAVA_TOOL_OPTIONS: [...(proxy ? javaProxy(proxy) : []), ...javaTrust(bundleFile)].join(' '),
  }
}

// It reads no PEM, so the bundle is there once more in a form that it reads.
function javaTrust(bundleFile: string): string[] {
  const file = path.join(path.dirname(bundleFile), 'ca-truststore.p12')
  const quoted = /\s/.test(file) ? `"${file}"` : file
  return [`-Djavax.net.ssl.trustStore=${quoted}`, '-Djavax.net.ssl.trustStoreType=PKCS12']
}

function javaProxy({ host, port, login }: ProxyPlace): string[] {
  const options = ['http', 'https'].flatMap((scheme) => [
    `-D${scheme}.proxyHost=${host}`,
    `-D${scheme}.proxyPort=${port}`,
  ])
  // Java would not send Basic to a proxy for a tunnel.
  return login === undefined ? options : [...options, '-Djdk.http.auth.tunneling.disabledSchemes=']
}

function proxyVariables({ host, port, login }: ProxyPlace): Record<string, string> {
  // Ids and tokens need no escaping in a URL.
  const prefix = login === undefined ? '' : `${login.user}:${login.password}@`
  const url = `http://${prefix}${host.includes(':') ? `[${host}]` : host}:${port}`
  return {
    // Clients differ in which case they read, so both are set and never differ.
    HTTP_PROXY: url,
    http_proxy: url,
    HTTPS_PROXY: url,
    https_proxy: url,
    ALL_PROXY: url,
    all_proxy: url,
    NO_PROXY,
    no_proxy: NO_PROXY,
    // Node's own clients ignore the variables above without this one.
    NODE_USE_ENV_PROXY: '1',
    npm_config_proxy: url,
    npm_config_https_proxy: url,
    npm_config_noproxy: NO_PROXY,
    YARN_HTTP_PROXY: url,
    YARN_HTTPS_PROXY: url,
    CARGO_HTTP_PROXY: url,
    grpc_proxy: url,
    CLOUDSDK_PROXY_TYPE: 'http',
    CLOUDSDK_PROXY_ADDRESS: host,
    CLOUDSDK_PROXY_PORT: String(port),
    ...(login && {
      CLOUDSDK_PROXY_USERNAME: login.user,
      CLOUDSDK_PROXY_PASSWORD: login.password,
    }),
  }
}
