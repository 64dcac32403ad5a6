/**
 * From what a file says to what the program uses: paths become absolute, accounts numbers, defaults that depend on
 * another option are filled in. On the way everything is checked that one option alone cannot tell; each check adds a
 * problem and goes on, so that the operator sees all of them at once.
 */
import { join, normalize } from 'node:path'
import { ConfigError, type Problem } from '../errors.js'
import type { AttachmentConfig } from './attachment.js'
import type { Config, HttpConfig, InterfaceConfig, SwitchConfig, TransportConfig } from './config.js'
import { resolveHttpOptions } from './http.js'
import { checkStacks } from './interfaces/slirp.js'
import { fixedInterfacePorts, resolveInterface } from './interfaces.js'
import { defaultEntriesPerPort } from './limits.js'
import { valueText } from './messages.js'
import { resolveProcess } from './process.js'
import type { ConfigInput } from './schema.js'
import type { Scope, Surroundings } from './scope.js'
import { SocketPaths } from './socket-paths.js'
import { fixedTransportPorts, resolveTransport, transportClaims } from './transports.js'

/** @throws ConfigError */
export function resolveConfig(input: ConfigInput, around: Surroundings): Config {
  const problems: Problem[] = []
  const runtimeDir = resolveRuntimeDir(input, around)
  const paths = new SocketPaths(runtimeDir, around.platform, problems)
  const process = resolveProcess(input.process, { around, problems })
  const scope: Scope = { around, paths, problems, switch: resolveSwitch(input, problems), process }

  const interfaces = input.interfaces.map((entry, i) => resolveInterface(entry, `interfaces[${i}]`, scope))
  const transports = input.transports.map((entry, i) => resolveTransport(entry, `transports[${i}]`, scope))
  const placed: Placed = [
    ...interfaces.map((config, i) => [`interfaces[${i}]`, config] as const),
    ...transports.map((config, i) => [`transports[${i}]`, config] as const),
  ]
  checkNames(placed, problems)
  checkSockets(transports, problems)
  checkStacks(stacksAmong(interfaces), problems)
  checkStaticAddresses(placed, scope)
  checkPortCount(interfaces, transports, scope)
  if (process !== null) checkUndoneByRoot(interfaces, problems)
  const http = resolveHttp(input, scope)
  if (input.http === false) checkServedWithout(transports, problems)
  paths.checkLoops()

  if (problems.length > 0) throw new ConfigError(problems)
  const { sandbox } = input.process
  const { switch: limits } = scope
  return {
    file: around.file,
    runtimeDir,
    switch: limits,
    interfaces,
    transports,
    http,
    process,
    sandbox,
    log: input.log,
  }
}

function resolveRuntimeDir(input: ConfigInput, { env, uid }: Surroundings): string {
  if (input.runtimeDir === undefined) return runtimeDirOf(env, uid)
  return withoutTrailingSlash(normalize(input.runtimeDir))
}

/** Where sockets are when the file does not say. */
export function runtimeDirOf(env: NodeJS.ProcessEnv, uid: number): string {
  // The XDG specification: a relative value is invalid and to be ignored.
  const base = env.XDG_RUNTIME_DIR
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

/** Where each is configured, and what it became. */
type Placed = readonly (readonly [path: string, config: AttachmentConfig])[]

/** One name space: a name is also the name of a port. */
function checkNames(placed: Placed, problems: Problem[]): void {
  const taken = new Map<string, string>()
  for (const [place, { name }] of placed) {
    const path = `${place}.name`
    const first = taken.get(name)
    if (first === undefined) taken.set(name, path)
    else problems.push({ path, message: `"${name}" is taken by ${first}; names must differ` })
  }
}

/** Those that are slirp, and those that may become it. */
function stacksAmong(interfaces: readonly InterfaceConfig[]) {
  return interfaces.flatMap((config, i) => {
    const path = `interfaces[${i}]`
    if (config.type === 'slirp') return [{ path, config }]
    return config.type === 'auto' ? [{ path, config: config.slirp }] : []
  })
}

/** Socket paths are checked where they are resolved, each with its option. */
function checkSockets(transports: readonly TransportConfig[], problems: Problem[]): void {
  const taken = new Map<string, string>()
  for (const [i, config] of transports.entries()) {
    for (const claim of transportClaims(config).filter(text => !text.startsWith('/'))) {
      const path = `transports[${i}]`
      const first = taken.get(claim)
      if (first === undefined) taken.set(claim, path)
      else problems.push({ path, message: `${claim} is taken by ${first}` })
    }
  }
}

function checkStaticAddresses(placed: Placed, { switch: limits, problems }: Scope): void {
  const taken = new Map<string, string>()
  for (const [place, { port }] of placed) {
    for (const [i, mac] of port.fdb.static.entries()) {
      const path = `${place}.port.fdb.static[${i}]`
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

/** Transports with many peers share what is left; one with a port of its own needs that one. */
function checkPortCount(
  interfaces: readonly InterfaceConfig[],
  transports: readonly TransportConfig[],
  { switch: limits, problems }: Scope,
): void {
  const counts = [...interfaces.map(fixedInterfacePorts), ...transports.map(fixedTransportPorts)]
  const fixed = counts.reduce((sum, count) => sum + count, 0)
  if (fixed > limits.maxPorts) {
    const message = `${limits.maxPorts} is less than the ${fixed} ports that interfaces and transports have from the start`
    problems.push({ path: 'switch.maxPorts', message })
  }
}

function resolveHttp(input: ConfigInput, scope: Scope): HttpConfig | false {
  if (input.http === false) return false
  return resolveHttpOptions(input.http, scope) ?? false
}

/** Their bridges, NAT and DHCP server are taken down at the end, which takes root. */
function checkUndoneByRoot(interfaces: readonly InterfaceConfig[], problems: Problem[]): void {
  for (const [i, config] of interfaces.entries()) {
    if (config.type !== 'tap' || config.mode === 'host') continue
    const message = `"${config.mode}" is not together with process.user: root has to undo it at the end`
    problems.push({ path: `interfaces[${i}].mode`, message })
  }
}

function checkServedWithout(transports: readonly TransportConfig[], problems: Problem[]): void {
  for (const [i, transport] of transports.entries()) {
    if (transport.type !== 'websocket' || transport.role !== 'listen' || transport.address !== null) continue
    const message = `${valueText(transport.path)} is a path on the HTTP server, which http: false turns off`
    problems.push({ path: `transports[${i}].listen`, message })
  }
}

function withoutTrailingSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}
