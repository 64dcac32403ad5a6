/** Options of the HTTP server: where it listens, and who may use it. */
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { account, allow, fileMode, group, list, name, oneOf, text } from './fields.js'
import { isLoopback, parseHttpListen } from './http-listen.js'
import { valueText } from './messages.js'
import { resolveOwnership, type Scope } from './scope.js'
import { resolveSecret, type SecretSource, secret } from './secret.js'
import { parseAllowedTarget } from './targets.js'

/** `read` sees everything but traffic; `control` also changes and captures. */
export const roles = ['read', 'control'] as const
export type Role = (typeof roles)[number]

/** What a caller without a token may do. */
export const anonymousRoles = ['none', ...roles] as const
export type Anonymous = (typeof anonymousRoles)[number]

export interface HttpConfig {
  /** `host:port` (port 0 takes a free one), or the absolute path of a unix socket. */
  readonly listen: string
  /** Of the socket file, where it is one. */
  readonly permissions: number
  readonly owner: number | null
  readonly group: number | null
  /** The role of a caller without a token; `none` off loopback. */
  readonly anonymous: Anonymous
  readonly tokens: readonly TokenConfig[]
  /** Names, lower case, besides loopback ones under which clients may ask for this server. */
  readonly allowedHosts: readonly string[]
  /** Absolute paths of PEM files. */
  readonly tls: { readonly certificate: string; readonly key: string } | null
  /** What may come over the API, beside the runtime directory and loopback: confinement.ts. Absolute paths. */
  readonly allowedPaths: readonly string[]
  readonly secretsDir: string | null
  readonly allowedTargets: readonly string[]
  readonly allowedInterfaces: readonly InterfaceType[]
}

/** All of them; interfaces.ts has what they are. */
export const interfaceTypes = ['auto', 'slirp', 'tap', 'vmnet'] as const
export type InterfaceType = (typeof interfaceTypes)[number]

export interface TokenConfig {
  /** Appears in the log for what is done with it. */
  readonly name: string
  readonly role: Role
  readonly token: SecretSource
  /** Milliseconds since 1970. */
  readonly expires: number | null
}

const timestamp = () => allow('a date and time such as "2030-01-31T12:00:00Z"', z.iso.datetime({ offset: true }))

const token = group({
  name: name().describe('Named in the log for what is done with the token.'),
  role: oneOf(roles).describe('`read`: look at everything but traffic. `control`: change and capture too.'),
  token: secret().describe('Where the token is.'),
  expires: timestamp().optional().describe('From then on the token is refused. Default: never.'),
})

const pemFile = (what: string) =>
  text('the path of a PEM file').describe(`${what}, PEM; relative paths start at the configuration file.`)

export const httpOptions = group({
  listen: text('host:port, or the path of a unix socket')
    .default('127.0.0.1:9676')
    .describe(
      '`host:port` (port 0 takes a free one), or the path of a unix socket (with a `/`, or ending in `.sock`). Off loopback a token is needed.',
    ),
  permissions: fileMode().default('0600').describe('Mode of the unix socket. Who may write to it may connect.'),
  owner: account('user').optional().describe('Owner of the unix socket. Default: who runs the switch.'),
  group: account('group').optional().describe('Group of the unix socket. Default: that of who runs the switch.'),
  anonymous: oneOf(anonymousRoles)
    .optional()
    .describe(
      'What a caller without a token may do, on loopback and unix sockets only: `none` (but the probes), `read`, or `control`, with which every user of this machine controls the switch. Default: `read`; `none` where tokens are configured.',
    ),
  token: secret().optional().describe('A bearer token that may do everything.'),
  tokens: list(token).default([]).describe('Further tokens, each with a role of its own.'),
  allowedHosts: list(
    allow(
      'a host name without port',
      z
        .string()
        .regex(/^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/),
    ),
  )
    .default([])
    .describe('Names by which clients ask for this server, e.g. behind a proxy; others than loopback are refused.'),
  tls: group({
    certificate: pemFile('Certificate and its chain'),
    key: pemFile('Private key, not readable by others'),
  })
    .optional()
    .describe('Serve HTTPS. Default: plain HTTP.'),
  allowedPaths: list(allow('an absolute path', z.string().regex(/^\/[^\0]*$/)))
    .default([])
    .describe(
      'Directories, beside `runtimeDir`, that paths of sockets and certificates which come over the API may be in. No other user may write to them.',
    ),
  secretsDir: text('the path of a directory')
    .optional()
    .describe(
      'Directory that files of tokens which come over the API are in; relative paths start at the configuration file. Default: none, and such tokens are refused.',
    ),
  allowedTargets: list(
    allow(
      'an address, prefix or name, with or without a port, such as "10.0.0.0/24:4789" or "switch.example:443"',
      z.string().refine(text => parseAllowedTarget(text) !== undefined),
    ),
  )
    .default([])
    .describe(
      'Addresses off loopback that transports which come over the API may dial, send to or listen on. Default: none.',
    ),
  allowedInterfaces: list(oneOf(interfaceTypes))
    .default(['slirp', 'auto'])
    .describe('Types of interface that may be added over the API.'),
})

export type HttpInput = z.output<typeof httpOptions>

/** Undefined when it is not valid; the problems say why. */
export function resolveHttpOptions(input: HttpInput, scope: Scope): HttpConfig | undefined {
  const { around, problems } = scope
  const tokens = resolveTokens(input, scope)
  const listen = resolveListen(input, tokens.length > 0, scope)
  const anonymous = resolveAnonymous(input, listen, tokens.length > 0, scope)
  if (listen === undefined || problems.length > 0) return undefined
  const pem = (file: string) => resolve(dirname(around.file), file)
  return {
    listen,
    permissions: Number.parseInt(input.permissions, 8),
    ...resolveOwnership(input, 'http', scope),
    anonymous,
    allowedPaths: input.allowedPaths,
    secretsDir: input.secretsDir === undefined ? null : pem(input.secretsDir),
    allowedTargets: input.allowedTargets,
    allowedInterfaces: input.allowedInterfaces,
    tokens,
    allowedHosts: input.allowedHosts.map(host => host.toLowerCase()),
    tls: input.tls === undefined ? null : { certificate: pem(input.tls.certificate), key: pem(input.tls.key) },
  }
}

/** In the form of the file. Tokens appear by the name of their file or variable. */
export function effectiveHttp({ permissions, owner, group, tokens, tls, secretsDir, ...rest }: HttpConfig): object {
  return {
    ...rest,
    permissions: permissions.toString(8).padStart(4, '0'),
    ...(owner === null ? {} : { owner }),
    ...(group === null ? {} : { group }),
    tokens: tokens.map(({ expires, ...token }) => ({
      ...token,
      ...(expires === null ? {} : { expires: new Date(expires).toISOString() }),
    })),
    ...(tls === null ? {} : { tls }),
    ...(secretsDir === null ? {} : { secretsDir }),
  }
}

/** Whether only processes of this machine reach it. */
export function isLocal(listen: string): boolean {
  const address = parseHttpListen(listen)
  return address?.type === 'unix' || (address !== undefined && isLoopback(address.host))
}

function resolveAnonymous(input: HttpInput, listen: string | undefined, hasToken: boolean, scope: Scope): Anonymous {
  const { anonymous } = input
  const local = listen !== undefined && isLocal(listen)
  if (local) return anonymous ?? (hasToken ? 'none' : 'read')
  if (anonymous !== undefined && anonymous !== 'none' && listen !== undefined) {
    const message = `"${anonymous}" is for loopback and unix sockets only, and http.listen is ${valueText(input.listen)}`
    scope.problems.push({ path: 'http.anonymous', message })
  }
  return 'none'
}

function resolveTokens(input: HttpInput, { around, problems }: Scope): TokenConfig[] {
  const tokens: TokenConfig[] = input.tokens.map(({ name, role, token, expires }) => ({
    name,
    role,
    token: resolveSecret(token, around.file),
    expires: expires === undefined ? null : Date.parse(expires),
  }))
  for (const [i, { name }] of tokens.entries()) {
    const first = tokens.findIndex(other => other.name === name)
    if (first === i) continue
    problems.push({
      path: `http.tokens[${i}].name`,
      message: `"${name}" is taken by http.tokens[${first}].name; names must differ`,
    })
  }
  if (input.token === undefined) return tokens
  return [{ name: 'token', role: 'control', token: resolveSecret(input.token, around.file), expires: null }, ...tokens]
}

function resolveListen(input: HttpInput, hasToken: boolean, { paths, problems }: Scope): string | undefined {
  const path = 'http.listen'
  const listen = parseHttpListen(input.listen)
  if (listen === undefined) {
    const message = `${valueText(input.listen)} is not host:port, nor the path of a unix socket (with a "/", or ending in ".sock")`
    problems.push({ path, message })
    return undefined
  }
  if (listen.type === 'unix') {
    if (input.tls !== undefined)
      problems.push({ path: 'http.tls', message: 'only with a TCP address; a unix socket stays on this machine' })
    return paths.own(listen.path, path)
  }
  if (!isLoopback(listen.host) && !hasToken) {
    const message = `${valueText(input.listen)} is not on loopback (127.0.0.1, [::1], localhost); that needs http.token, so that not everybody can control the switch`
    problems.push({ path, message })
  }
  return input.listen
}
