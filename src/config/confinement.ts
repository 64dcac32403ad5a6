/**
 * What may come over the API. An entry of the configuration file is the operator's and may say anything; an entry that
 * comes over the API is limited to what the file allows in `http`, so that the token of the API is not as good as the
 * account of the switch: with a free choice of paths and addresses it could read files, send secrets away, and speak to
 * sockets that trust root.
 *
 * Each option has a class in confinement-classes.ts, which says what the option can reach. Only options that the entry
 * gives are looked at: defaults reach nothing. An option without a class is refused.
 *
 * Loopback is open to targets only while callers of the API are on this machine (`http.listen` is local, no
 * `http.allowedHosts`), because such a caller can dial loopback without the switch. For a caller from elsewhere,
 * loopback is off limits like everything else.
 */
import { dirname, resolve } from 'node:path'
import { isMulticastIp, parseIp, parseIpPrefix } from '../wire/ip-prefix.js'
import { VXLAN_PORT } from '../wire/vxlan.js'
import type { Config } from './config.js'
import { pathFault } from './confined-path.js'
import { confinementClasses, type Reach } from './confinement-classes.js'
import { parseForwardEnd } from './forwards.js'
import { isLocal } from './http.js'
import { isLoopback } from './http-listen.js'
import { parseHostPort } from './inet-address.js'
import { valueText } from './messages.js'
import { parseStreamAddress } from './stream-address.js'
import { type AllowedTarget, allowsPrefix, allowsTarget, parseAllowedTarget } from './targets.js'
import { withoutSecrets } from './url-secrets.js'

/** Ports below it take a privilege, which the caller need not have. */
const FIRST_FREE_PORT = 1024

type Mapping = Readonly<Record<string, unknown>>

/** Of an entry that is valid: why it may not come over the API, as one sentence; undefined when it may. */
export function confinementFault(entry: unknown, config: Config): string | undefined {
  if (!isMapping(entry)) return undefined
  return new Check(config, entry).faultIn(entry, '')
}

/** The same for a forward that is added to an interface. */
export function forwardFault(host: string, config: Config): string | undefined {
  return new Check(config, { type: 'slirp' }).faultIn({ host }, 'forwards')
}

class Check {
  readonly #config: Config
  readonly #entry: Mapping

  constructor(config: Config, entry: Mapping) {
    this.#config = config
    this.#entry = entry
  }

  /** Goes through what the entry gives; `path` is that of the mapping, without the places in lists. */
  faultIn(mapping: Mapping, path: string): string | undefined {
    for (const [key, value] of Object.entries(mapping)) {
      if (value === undefined) continue
      const option = path === '' ? key : `${path}.${key}`
      const fault = this.#faultOf(value, option)
      if (fault !== undefined) return fault
    }
    return undefined
  }

  #faultOf(value: unknown, option: string): string | undefined {
    const reach = confinementClasses[String(this.#entry.type)]?.[option]
    if (reach === 'none') return undefined
    if (reach === undefined && isMapping(value)) return this.faultIn(value, option)
    for (const each of Array.isArray(value) ? value : [value]) {
      const fault =
        reach === undefined && isMapping(each) ? this.faultIn(each, option) : this.#reaches(reach, each, option)
      if (fault !== undefined) return fault.startsWith(option) ? fault : `${option}: ${fault}`
    }
    return undefined
  }

  #reaches(reach: Reach | undefined, value: unknown, option: string): string | undefined {
    switch (reach) {
      case 'path':
        return this.#path(String(value))
      case 'file':
        return this.#file(String(value))
      case 'listen':
        return this.#listen(String(value))
      case 'target':
        return this.#target(String(value))
      case 'group':
        return this.#group(String(value))
      case 'source':
        return this.#source(String(value))
      case 'secret':
        return this.#secret(value)
      case 'type':
        return this.#interfaceType()
      default:
        return isDefault(option, value) ? undefined : `${valueText(value)} may be in the configuration file only`
    }
  }

  get #http() {
    const { http } = this.#config
    if (http === false) throw new Error('a change over an API that is not there')
    return http
  }

  get #targets(): readonly AllowedTarget[] {
    return this.#http.allowedTargets.flatMap(text => parseAllowedTarget(text) ?? [])
  }

  #path(text: string): string | undefined {
    const { runtimeDir } = this.#config
    return this.#confined(
      resolve(runtimeDir, text),
      text,
      [runtimeDir, ...this.#http.allowedPaths],
      'http.allowedPaths',
    )
  }

  #file(text: string): string | undefined {
    const { runtimeDir, file } = this.#config
    const { allowedPaths, secretsDir } = this.#http
    const roots = [runtimeDir, ...allowedPaths, ...(secretsDir === null ? [] : [secretsDir])]
    return this.#confined(resolve(dirname(file), text), text, roots, 'http.allowedPaths')
  }

  #secret(value: unknown): string | undefined {
    const { file } = (isMapping(value) ? value : {}) as { file?: unknown }
    if (typeof file !== 'string')
      return 'environment variables are read for the configuration file only; use { file } in http.secretsDir'
    const { secretsDir } = this.#http
    if (secretsDir === null)
      return `${valueText(file)} is a secret, and over the API secrets come from http.secretsDir, which is not set`
    return this.#confined(resolve(dirname(this.#config.file), file), file, [secretsDir], 'http.secretsDir')
  }

  #confined(path: string, text: string, roots: readonly string[], option: string): string | undefined {
    if (text.split('/').includes('..')) return `${valueText(text)} has ".." in it, which a path over the API may not`
    const users = [process.getuid?.() ?? 0, ...(this.#config.process === null ? [] : [this.#config.process.uid])]
    const fault = pathFault(path, roots, users)
    return fault && `${valueText(path)} ${fault}; ${option} says where paths that come over the API may be`
  }

  #listen(text: string): string | undefined {
    const forward = parseForwardEnd(text)
    if (forward?.family === 'unix') return this.#entry.type === 'websocket' ? undefined : this.#path(text)
    if (this.#entry.type === 'websocket' && text.startsWith('/')) return undefined
    if (this.#entry.type === 'stream') {
      const address = parseStreamAddress(text)
      if (address?.type === 'unix') return this.#path(text)
      if (address?.type === 'systemd')
        return `${valueText(text)} is an inherited socket, which only the configuration file may name`
    }
    const { host, port } = hostPortOf(text)
    const isFree = port === 0 || (port ?? VXLAN_PORT) >= FIRST_FREE_PORT
    if (isLoopback(host) && isFree) return undefined
    if (allowsTarget(this.#targets, host, port ?? VXLAN_PORT)) return undefined
    const why = isLoopback(host) ? `has a port below ${FIRST_FREE_PORT}` : 'is not on loopback'
    return `${valueText(text)} ${why}, and over the API a switch listens there only where http.allowedTargets has it`
  }

  #target(text: string): string | undefined {
    if (this.#entry.type === 'stream' && parseStreamAddress(text)?.type === 'unix') return this.#path(text)
    const { host, port } = hostPortOf(text)
    const implied = this.#entry.type === 'vxlan' ? (hostPortOf(String(this.#entry.listen)).port ?? VXLAN_PORT) : null
    if (isLoopback(host) && this.#isLocal) return undefined
    if (allowsTarget(this.#targets, host, port ?? implied)) return undefined
    return this.#offLimits(withoutSecrets(text), isLoopback(host))
  }

  #group(text: string): string | undefined {
    const { host, port } = hostPortOf(text)
    const by = String(this.#entry.interface ?? '')
    const staysHere = isLoopback(by) || /^lo0?$/.test(by)
    if (staysHere && this.#isLocal) return undefined
    if (allowsTarget(this.#targets, host, port)) return undefined
    return this.#offLimits(text, staysHere)
  }

  #source(text: string): string | undefined {
    const prefix = parseIpPrefix(text)
    if (prefix === undefined || isMulticastIp(prefix.bytes)) return `${valueText(text)} is no prefix`
    const isHere =
      prefix.bytes.length === 4 ? prefix.length >= 8 && prefix.bytes[0] === 127 : isLoopback(text.replace(/\/128$/, ''))
    if (isHere && this.#isLocal) return undefined
    if (allowsPrefix(this.#targets, prefix)) return undefined
    return this.#offLimits(text, isHere)
  }

  #interfaceType(): string | undefined {
    const type = String(this.#entry.type)
    const { allowedInterfaces } = this.#http
    if ((allowedInterfaces as readonly string[]).includes(type)) return undefined
    return `${valueText(type)} reaches into the network of this host, and over the API only ${allowedInterfaces.join(', ') || 'no type'} may be added; http.allowedInterfaces allows more`
  }

  /** Whether the callers of the API are on this machine, as far as can be told. */
  get #isLocal(): boolean {
    return isLocal(this.#http.listen) && this.#http.allowedHosts.length === 0
  }

  #offLimits(text: string, isHere: boolean): string {
    const why = isHere ? 'is on loopback while the API is reached from elsewhere' : 'is not on loopback'
    return `${valueText(text)} ${why}, and over the API frames are sent there only where http.allowedTargets has it`
  }
}

/** A value that says what leaving the option out says. */
function isDefault(option: string, value: unknown): boolean {
  return (option === 'framing' && value === 'qemu') || (option === 'hostLoopback' && value === false)
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Of `host:port`, `[v6]:port`, an address alone, either with a path behind it, or a ws URL. */
function hostPortOf(text: string): { host: string; port: number | null } {
  if (/^wss?:/i.test(text)) {
    const { hostname, port, protocol } = new URL(text)
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    return { host, port: port === '' ? (protocol === 'wss:' ? 443 : 80) : Number(port) }
  }
  const [address = ''] = text.split('/', 1)
  const parsed = parseHostPort(address)
  if (parsed !== undefined) return { host: parsed.host, port: parsed.port }
  // Names with a dot at the end, zones: compared as they are written.
  return { host: parseIp(address) === undefined ? address : '', port: null }
}
