/**
 * From what a file says to what the program uses: paths become absolute, accounts numbers, defaults that depend on another
 * option are filled in. On the way everything is checked that one option alone cannot tell; each check adds a problem and
 * goes on, so that the operator sees all of them at once.
 */
import { join, normalize } from 'node:path'
import { ConfigError, type Problem } from '../errors.js'
import type { AccountKind } from './accounts.js'
import type { Config, HttpConfig, PortPolicyConfig, SwitchConfig, TransportConfig } from './config.js'
import { isLoopback, parseHttpListen } from './http-listen.js'
import { defaultEntriesPerPort } from './limits.js'
import { valueText } from './messages.js'
import type { ConfigInput, TransportInput } from './schema.js'
import { SocketPaths } from './socket-paths.js'

/** What the result depends on besides the file. */
export interface Surroundings {
  /** Absolute path of the file. */
  readonly file: string
  readonly platform: NodeJS.Platform
  readonly env: NodeJS.ProcessEnv
  /** Of who runs the switch. */
  readonly uid: number
  readonly accountNumber: (kind: AccountKind, name: string) => number | undefined
}

/** @throws ConfigError */
export function resolveConfig(input: ConfigInput, around: Surroundings): Config {
  const problems: Problem[] = []
  const runtimeDir = resolveRuntimeDir(input, around)
  const paths = new SocketPaths(runtimeDir, around.platform, problems)
  const scope: Scope = { around, paths, problems, switch: resolveSwitch(input, problems) }

  checkInterfaces(input, problems)
  const transports = input.transports.map((transport, i) => resolveTransport(transport, `transports[${i}]`, scope))
  checkNames(transports, problems)
  checkStaticAddresses(transports, scope)
  checkPortCount(transports, scope)
  const http = resolveHttp(input, scope)
  paths.checkLoops()

  if (problems.length > 0) throw new ConfigError(problems)
  return { file: around.file, runtimeDir, switch: scope.switch, interfaces: [], transports, http, log: input.log }
}

interface Scope {
  readonly around: Surroundings
  readonly paths: SocketPaths
  readonly problems: Problem[]
  readonly switch: SwitchConfig
}

function resolveRuntimeDir(input: ConfigInput, { env, uid }: Surroundings): string {
  if (input.runtimeDir === undefined) return runtimeDirOf(env, uid)
  return withoutTrailingSlash(normalize(input.runtimeDir))
}

/** Where sockets are when the file does not say. */
export function runtimeDirOf(env: NodeJS.ProcessEnv, uid: number): string {
  // The XDG specification: a relative value is invalid and to be ignored.
  const base = env['XDG_RUNTIME_DIR']
  return base?.startsWith('/') ? join(base, 'tapswitch') : `/tmp/tapswitch-${uid}`
}

function resolveSwitch(input: ConfigInput, problems: Problem[]): SwitchConfig {
  const { maxEntries } = input.switch.fdb
  const maxEntriesPerPort = input.switch.fdb.maxEntriesPerPort ?? Math.min(defaultEntriesPerPort, maxEntries)
  if (maxEntriesPerPort > maxEntries) {
    const message = `${maxEntriesPerPort} is more than switch.fdb.maxEntries, which is ${maxEntries}`
    problems.push({ path: 'switch.fdb.maxEntriesPerPort', message })
  }
  return { ...input.switch, fdb: { ...input.switch.fdb, maxEntriesPerPort } }
}

function checkInterfaces(input: ConfigInput, problems: Problem[]): void {
  for (const [i, entry] of input.interfaces.entries()) {
    const type = typeof entry === 'object' && entry !== null && 'type' in entry ? entry.type : undefined
    const path = type === undefined ? `interfaces[${i}]` : `interfaces[${i}].type`
    problems.push({
      path,
      message: `${valueText(type ?? entry)} is not a type of this version, which has none; remove it`,
    })
  }
}

function resolveTransport(input: TransportInput, path: string, scope: Scope): TransportConfig {
  const common = {
    type: input.type,
    name: input.name,
    permissions: Number.parseInt(input.permissions, 8),
    owner: accountNumber('user', input.owner, `${path}.owner`, scope),
    group: accountNumber('group', input.group, `${path}.group`, scope),
    port: resolvePort(input.port, `${path}.port`, scope),
  }
  if ('connect' in input) {
    const local = scope.paths.own(input.connect.local, `${path}.connect.local`)
    const remote = scope.paths.remote(input.connect.remote, `${path}.connect.remote`)
    return { ...common, role: 'connect', connect: { local, remote }, handshake: input.handshake ?? null }
  }
  const listen = scope.paths.own(input.listen, `${path}.listen`)
  return {
    ...common,
    role: 'listen',
    listen,
    peers: input.peers,
    maxPeers: input.peers === 'many' ? input.maxPeers : 1,
  }
}

function resolvePort(
  input: TransportInput['port'],
  path: string,
  { switch: limits, problems }: Scope,
): PortPolicyConfig {
  const maxFrameSize = input.maxFrameSize ?? limits.maxFrameSize
  if (maxFrameSize > limits.maxFrameSize) {
    const message = `${maxFrameSize} is more than switch.maxFrameSize, which is ${limits.maxFrameSize}`
    problems.push({ path: `${path}.maxFrameSize`, message })
  }
  const maxEntries = input.fdb.maxEntries ?? limits.fdb.maxEntriesPerPort
  if (input.fdb.maxEntries !== undefined && maxEntries > limits.fdb.maxEntries) {
    const message = `${maxEntries} is more than switch.fdb.maxEntries, which is ${limits.fdb.maxEntries}`
    problems.push({ path: `${path}.fdb.maxEntries`, message })
  }
  const addresses = 'static' in input.fdb ? input.fdb.static.map(mac => mac.toLowerCase().replaceAll('-', ':')) : []
  if (addresses.length > maxEntries) {
    const message = `${addresses.length} addresses are more than the port may have, which is ${maxEntries}`
    problems.push({ path: `${path}.fdb.static`, message })
  }
  for (const [i, mac] of addresses.entries()) {
    if (isUnicast(mac)) continue
    const message = `"${mac}" is not the address of one station: it is a group address or all zeros`
    problems.push({ path: `${path}.fdb.static[${i}]`, message })
  }
  return {
    maxFrameSize,
    isolated: input.isolated,
    queueFrames: input.queueFrames,
    fdb: { maxEntries, static: addresses },
  }
}

function isUnicast(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 && mac !== '00:00:00:00:00:00'
}

function accountNumber(
  kind: AccountKind,
  value: string | number | undefined,
  path: string,
  scope: Scope,
): number | null {
  if (value === undefined) return null
  if (typeof value === 'number') return value
  const number = /^\d+$/.test(value) ? Number(value) : scope.around.accountNumber(kind, value)
  if (number === undefined) {
    scope.problems.push({ path, message: `${valueText(value)} is not a ${kind} of this system` })
    return null
  }
  return number
}

function checkNames(transports: readonly TransportConfig[], problems: Problem[]): void {
  const taken = new Map<string, string>()
  for (const [i, { name }] of transports.entries()) {
    const path = `transports[${i}].name`
    const first = taken.get(name)
    if (first === undefined) taken.set(name, path)
    else problems.push({ path, message: `"${name}" is taken by ${first}; names must differ` })
  }
}

function checkStaticAddresses(transports: readonly TransportConfig[], { switch: limits, problems }: Scope): void {
  const taken = new Map<string, string>()
  for (const [t, transport] of transports.entries()) {
    for (const [i, mac] of transport.port.fdb.static.entries()) {
      const path = `transports[${t}].port.fdb.static[${i}]`
      const first = taken.get(mac)
      if (first === undefined) taken.set(mac, path)
      else problems.push({ path, message: `"${mac}" is taken by ${first}; an address belongs to one port` })
    }
  }
  if (taken.size > limits.fdb.maxEntries) {
    const message = `${limits.fdb.maxEntries} is less than the ${taken.size} static addresses of all ports`
    problems.push({ path: 'switch.fdb.maxEntries', message })
  }
}

/** Transports with many peers share what is left; a transport with one port needs that one. */
function checkPortCount(transports: readonly TransportConfig[], { switch: limits, problems }: Scope): void {
  const single = transports.filter(transport => transport.role === 'connect' || transport.peers === 'one').length
  if (single > limits.maxPorts) {
    const message = `${limits.maxPorts} is less than the ${single} ports of transports with one port each`
    problems.push({ path: 'switch.maxPorts', message })
  }
}

function resolveHttp(input: ConfigInput, { paths, problems }: Scope): HttpConfig | false {
  if (input.http === false) return false
  const path = 'http.listen'
  const listen = parseHttpListen(input.http.listen)
  if (listen === undefined) {
    const message = `${valueText(input.http.listen)} is not host:port, nor the path of a unix socket (with a "/", or ending in ".sock")`
    problems.push({ path, message })
    return false
  }
  if (listen.type === 'unix') return { listen: paths.own(listen.path, path) }
  if (!isLoopback(listen.host)) {
    const message = `${valueText(input.http.listen)} is not on loopback (127.0.0.1, [::1], localhost); that needs a token, which this version does not have`
    problems.push({ path, message })
  }
  return { listen: input.http.listen }
}

function withoutTrailingSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}
