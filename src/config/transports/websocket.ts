/**
 * Options of the `websocket` transport: a frame in each binary message (v86 and jor1k in a browser, another switch).
 */
import { dirname, resolve as resolvePath } from 'node:path'
import { z } from 'zod'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { allow, flag, group, name, shortList, text, wholeNumber } from '../fields.js'
import { isLoopback } from '../http-listen.js'
import { valueText } from '../messages.js'
import { normalOrigin } from '../origin.js'
import { portPolicyOfMany, portPolicyOfOne } from '../port-schema.js'
import { resolvePort, type Scope } from '../scope.js'
import { resolveSecret, type SecretSource, secret } from '../secret.js'
import { withoutSecrets } from '../url-secrets.js'

const common = {
  name: name().describe(
    'Name of the transport, and of its port; where it listens the ports are `<name>:1`, `<name>:2` ...',
  ),
  type: z.literal('websocket').describe('A frame in each binary WebSocket message, no subprotocol needed.'),
  token: secret()
    .optional()
    .describe(
      'Token that clients must show, or that is shown to the far end: `Authorization: Bearer`, or the first subprotocol.',
    ),
  pingSeconds: wholeNumber(1, 3600).default(30).describe('Seconds between protocol pings.'),
  idleSeconds: wholeNumber(2, 86_400)
    .default(100)
    .describe('Seconds in which nothing came, not even an answer to a ping, after which a connection is closed.'),
  textPings: flag()
    .default(false)
    .describe('Answers the text `ping:<x>` by `pong:<x>`, as jor1k does. Other texts are counted and ignored.'),
}

const origin = () =>
  allow(
    'an origin such as "https://vm.example" or "http://localhost:8080"',
    z.string().regex(/^https?:\/\/[^\s/?#@]+$/i),
  )

const pemFile = (what: string) =>
  text('the path of a PEM file').describe(`${what}, PEM; relative paths start at the configuration file.`)

const listenForm = group(
  {
    ...common,
    listen: allow(
      'a path such as "/ethernet", or host:port and a path such as "127.0.0.1:8080/ethernet"',
      z.string(),
    ).describe(
      'A path on the HTTP server, such as `/ethernet`; or address, port and path of a listener of its own, such as `127.0.0.1:8080/ethernet` (port 0 takes a free one).',
    ),
    tls: group({
      certificate: pemFile('Certificate and its chain'),
      key: pemFile('Private key, not readable by others'),
    })
      .optional()
      .describe('Serve wss; only with a listener of its own. Default: plain ws.'),
    allowedOrigins: shortList(origin(), 256)
      .default([])
      .describe('Origins of web pages that may connect, besides pages of this very server.'),
    maxPeers: wholeNumber(1, 1000).default(64).describe('Clients that may be connected at the same time.'),
    maxPeersPerAddress: wholeNumber(1, 1000)
      .default(32)
      .describe('The same from one address (IPv6: one /64). Behind a proxy, all clients have its address.'),
    port: portPolicyOfMany.prefault({}).describe('Policy of every port of this transport.'),
  },
  { connect: 'not together with listen', ca: 'only with connect' },
)

const onlyWithListen = Object.fromEntries(
  ['tls', 'allowedOrigins', 'maxPeers', 'maxPeersPerAddress'].map(key => [key, 'only with listen']),
)

const connectForm = group(
  {
    ...common,
    connect: allow('a URL such as "wss://switch.example/ethernet"', z.string()).describe(
      'URL of another switch or relay, `ws://` or `wss://`; dialled again, for ever, whenever it is not there.',
    ),
    ca: pemFile('With wss: certificate of the authority that signed that of the far end').optional(),
    port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
  },
  { listen: 'not together with connect', ...onlyWithListen },
)

const forms = [listenForm, connectForm] as const
type Input = z.output<(typeof forms)[number]>

interface Common {
  readonly type: 'websocket'
  readonly name: string
  readonly port: PortPolicyConfig
  readonly token: SecretSource | null
  readonly pingSeconds: number
  readonly idleSeconds: number
  readonly textPings: boolean
}

export interface WebSocketListenConfig extends Common {
  readonly role: 'listen'
  /** Begins with "/". */
  readonly path: string
  /** Where it has a listener of its own; `host` without brackets. Null: the path is on the HTTP server. */
  readonly address: { readonly host: string; readonly port: number } | null
  /** Absolute paths. */
  readonly tls: { readonly certificate: string; readonly key: string } | null
  /** Lower case. */
  readonly allowedOrigins: readonly string[]
  readonly maxPeers: number
  readonly maxPeersPerAddress: number
}

export interface WebSocketConnectConfig extends Common {
  readonly role: 'connect'
  readonly connect: string
  /** Absolute path. */
  readonly ca: string | null
}

export type WebSocketConfig = WebSocketListenConfig | WebSocketConnectConfig

export const websocket: AttachmentType<typeof forms, WebSocketConfig> = {
  forms,
  resolve,
  effective,
  fixedPorts: config => (config.role === 'connect' ? 1 : 0),
  claims,
}

function resolve(input: Input, path: string, scope: Scope): WebSocketConfig {
  const { type, name, pingSeconds, idleSeconds, textPings } = input
  const file = (relative: string) => resolvePath(dirname(scope.around.file), relative)
  if (idleSeconds <= pingSeconds) {
    const message = `${idleSeconds} is not more than pingSeconds, which is ${pingSeconds}; who answers every ping would be closed`
    scope.problems.push({ path: `${path}.idleSeconds`, message })
  }
  const common = {
    type,
    name,
    pingSeconds,
    idleSeconds,
    textPings,
    token: input.token === undefined ? null : resolveSecret(input.token, scope.around.file),
    port: resolvePort(input.port, `${path}.port`, scope),
  }
  if ('connect' in input) {
    const ca = input.ca === undefined ? null : file(input.ca)
    return { ...common, role: 'connect', connect: checkedUrl(input.connect, ca, path, scope), ca }
  }
  const { allowedOrigins, maxPeers, maxPeersPerAddress } = input
  const config: WebSocketListenConfig = {
    ...common,
    role: 'listen',
    ...listenAt(input.listen, path, scope),
    tls: input.tls === undefined ? null : { certificate: file(input.tls.certificate), key: file(input.tls.key) },
    allowedOrigins: allowedOrigins.map(normalOrigin),
    maxPeers,
    maxPeersPerAddress: Math.min(maxPeersPerAddress, maxPeers),
  }
  checkListener(config, input.listen, path, scope)
  return config
}

function listenAt(text: string, path: string, scope: Scope): Pick<WebSocketListenConfig, 'path' | 'address'> {
  const match = /^(?:(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z.-]+)):(\d{1,5}))?(\/[\w.~!$&'()*+,;=:@/-]*)$/.exec(text)
  if (match === null || Number(match[3] ?? 0) > 65_535) {
    const message = `${valueText(text)} is neither a path such as "/ethernet", nor host:port and a path such as "127.0.0.1:8080/ethernet"`
    scope.problems.push({ path: `${path}.listen`, message })
    return { path: '/', address: null }
  }
  const [, ipv6, name, port, at] = match as unknown as [string, ...(string | undefined)[]]
  const host = ipv6 ?? name
  return { path: at as string, address: host === undefined ? null : { host, port: Number(port) } }
}

function checkListener({ address, tls, token }: WebSocketListenConfig, text: string, path: string, scope: Scope): void {
  if (address === null && tls !== null) {
    const message = 'only with a listener of its own; for a path on the HTTP server, http.tls is meant'
    scope.problems.push({ path: `${path}.tls`, message })
  }
  if (address !== null && token === null && !isLoopback(address.host)) {
    const message = `${valueText(text)} is not on loopback (127.0.0.1, [::1], localhost); that needs token, so that not everybody can join the network`
    scope.problems.push({ path: `${path}.listen`, message })
  }
}

function checkedUrl(text: string, ca: string | null, path: string, scope: Scope): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const complain = (key: string, message: string) => scope.problems.push({ path: `${path}.${key}`, message })
  if (url === undefined || !['ws:', 'wss:'].includes(url.protocol) || url.hash !== '') {
    complain('connect', `${valueText(withoutSecrets(text))} is not a URL such as "wss://switch.example/ethernet"`)
    return text
  }
  if (url.username !== '' || url.password !== '') {
    complain('connect', 'a URL with a name or a password in it is not taken; use token')
  }
  if (ca !== null && url.protocol !== 'wss:') complain('ca', 'only with wss')
  return url.href
}

function claims(config: WebSocketConfig): readonly string[] {
  if (config.role === 'connect') return []
  const { address, path } = config
  if (address === null) return [`websocket:${path}`]
  return address.port === 0 ? [] : [`tcp:${hostPort(address)}`]
}

function effective(config: WebSocketConfig): Record<string, unknown> {
  const { role: _role, token, port, ...rest } = config
  const shared = token === null ? {} : { token }
  if (config.role === 'connect') {
    const { ca, ...shape } = rest as Omit<WebSocketConnectConfig, 'role' | 'token' | 'port'>
    return { ...shape, ...(ca === null ? {} : { ca }), ...shared, port }
  }
  const { path, address, tls, ...shape } = rest as Omit<WebSocketListenConfig, 'role' | 'token' | 'port'>
  return {
    ...shape,
    listen: address === null ? path : `${hostPort(address)}${path}`,
    ...(tls === null ? {} : { tls }),
    ...shared,
    port: { ...port, fdb: { maxEntries: port.fdb.maxEntries } },
  }
}

function hostPort({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
