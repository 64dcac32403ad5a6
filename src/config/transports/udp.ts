/** Options of the `udp` transport: a frame in each datagram (QEMU's dgram and socket netdevs, another tapswitch). */
import { z } from 'zod'
import { isMulticastIp, parseIp, parseIpPrefix } from '../../wire/ip-prefix.js'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { allow, flag, group, name, shortList, wholeNumber } from '../fields.js'
import { formatHostPort, type HostPort, parseHostPort, udpAddress } from '../inet-address.js'
import { valueText } from '../messages.js'
import { portPolicyOfOne } from '../port-schema.js'
import { resolvePort, type Scope } from '../scope.js'

/** Each learned peer is a port; each configured one too. */
const maxPeers = 1000

const common = {
  name: name().describe(
    'Name of the transport, and of its port; with more peers the ports are `<name>:1`, `<name>:2` ...',
  ),
  type: z.literal('udp').describe('A frame in each UDP datagram. Neither authenticated nor encrypted.'),
}

const fragment = flag()
  .default(false)
  .describe(
    'Whether a datagram that is too long for its path may be sent in fragments. `false`: it is dropped and counted.',
  )

export const sourcePrefix = () =>
  allow('an IP address or prefix such as 10.0.0.0/24', z.string().regex(/^[0-9A-Fa-f:.]+(\/\d{1,3})?$/))

const peersForm = group(
  {
    ...common,
    listen: udpAddress('an IP address of this machine and a port, such as 127.0.0.1:7000').describe(
      'Address and port of the socket, such as `127.0.0.1:7000` or `[::1]:7000`; port 0 takes a free one.',
    ),
    peers: shortList(udpAddress('an address or a name and a port, such as 10.0.0.2:7000'), maxPeers)
      .default([])
      .describe(
        'Addresses of the peers, each a port from the start. Names are looked up at the start and every minute.',
      ),
    learnPeers: flag()
      .default(false)
      .describe('Whether an address of `allowedSources` that sends becomes a peer. Others are counted and ignored.'),
    allowedSources: shortList(sourcePrefix(), 256)
      .default([])
      .describe('Addresses and prefixes whose senders may become peers, any port. Required with `learnPeers`.'),
    maxPeers: wholeNumber(1, maxPeers).default(64).describe('Learned peers that may have a port at the same time.'),
    peerTimeoutSeconds: wholeNumber(1, 1_000_000)
      .default(300)
      .describe('Seconds of silence after which the port of a learned peer goes down.'),
    fragment,
    port: portPolicyOfOne.prefault({}).describe('Policy of every port of this transport.'),
  },
  { group: 'not together with listen', interface: 'only with group', ttl: 'only with group', loop: 'only with group' },
)

const onlyWithListen = Object.fromEntries(
  ['peers', 'learnPeers', 'allowedSources', 'maxPeers', 'peerTimeoutSeconds'].map(key => [key, 'only with listen']),
)

const groupForm = group(
  {
    ...common,
    group: udpAddress('a multicast address and a port, such as 230.0.0.1:7000').describe(
      'Multicast group and port; all its members together are one port.',
    ),
    interface: allow('an IP address of this machine, or the name of an interface', z.string().regex(/^[\w.:%-]{1,64}$/))
      .optional()
      .describe(
        'Interface of the group: its name, or for IPv4 an address of it. Default: where the system would send to the group.',
      ),
    ttl: wholeNumber(0, 255).default(1).describe('Routers a frame may cross, plus one; 0 stays on this machine.'),
    loop: flag().default(true).describe('Whether members on this machine get our frames, such as VMs of a QEMU here.'),
    fragment,
    port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
  },
  { listen: 'not together with group', ...onlyWithListen },
)

const forms = [peersForm, groupForm] as const
type Input = z.output<(typeof forms)[number]>

interface Common {
  readonly type: 'udp'
  readonly name: string
  readonly port: PortPolicyConfig
  readonly fragment: boolean
}

export interface UdpPeersConfig extends Common {
  readonly role: 'peers'
  /** IP address and port. */
  readonly listen: string
  /** Addresses or names, with ports. */
  readonly peers: readonly string[]
  readonly learnPeers: boolean
  readonly allowedSources: readonly string[]
  readonly maxPeers: number
  readonly peerTimeoutSeconds: number
}

export interface UdpGroupConfig extends Common {
  readonly role: 'group'
  /** Multicast address and port. */
  readonly group: string
  /** Name, or IPv4 address; null: the system chooses. */
  readonly interface: string | null
  readonly ttl: number
  readonly loop: boolean
}

export type UdpConfig = UdpPeersConfig | UdpGroupConfig

export const udp: AttachmentType<typeof forms, UdpConfig> = {
  forms,
  resolve,
  effective,
  fixedPorts: config => (config.role === 'group' ? 1 : config.peers.length),
  claims: config => (config.role === 'group' ? [] : config.listen.endsWith(':0') ? [] : [`udp:${config.listen}`]),
}

/** One peer and never another: its port is named like the transport. */
export function hasOnePeer(config: UdpPeersConfig): boolean {
  return config.peers.length === 1 && !config.learnPeers
}

function resolve(input: Input, path: string, scope: Scope): UdpConfig {
  const { type, name, fragment } = input
  const common = { type, name, fragment, port: resolvePort(input.port, `${path}.port`, scope) }
  if ('group' in input) {
    const { ttl, loop } = input
    return {
      ...common,
      role: 'group',
      group: groupAddress(input.group, path, scope),
      interface: input.interface ?? null,
      ttl,
      loop,
    }
  }
  const { peers: _peers, port: _port, ...rest } = input
  const listen = listenAddress(input.listen, `${path}.listen`, scope)
  const peers = input.peers.map((peer, i) => peerAddress(peer, listen, `${path}.peers[${i}]`, null, scope))
  checkDistinct(peers, `${path}.peers`, scope)
  const config: UdpPeersConfig = { ...rest, ...common, role: 'peers', listen: textOf(listen, input.listen), peers }
  checkLearning(config, listen, path, scope)
  if (config.port.fdb.static.length > 0 && !hasOnePeer(config)) {
    const message = 'only where a transport has one port: with one peer and without learnPeers, or with group'
    scope.problems.push({ path: `${path}.port.fdb.static`, message })
  }
  return config
}

function checkLearning(config: UdpPeersConfig, listen: HostPort | null, path: string, scope: Scope): void {
  const { learnPeers, peers, allowedSources } = config
  if (!learnPeers && peers.length === 0) {
    scope.problems.push({ path: `${path}.peers`, message: 'empty; without learnPeers there must be one at least' })
  }
  if (!learnPeers && allowedSources.length > 0) {
    scope.problems.push({ path: `${path}.allowedSources`, message: 'only with learnPeers' })
  }
  if (learnPeers && allowedSources.length === 0) {
    const message = 'empty; learnPeers needs the addresses that may become peers'
    scope.problems.push({ path: `${path}.allowedSources`, message })
  }
  checkPrefixes(allowedSources, listen, `${path}.allowedSources`, scope)
}

/** Each a prefix, and of the family of `listen`. */
export function checkPrefixes(prefixes: readonly string[], listen: HostPort | null, path: string, scope: Scope): void {
  for (const [i, text] of prefixes.entries()) {
    const prefix = parseIpPrefix(text)
    const family = prefix?.bytes.length === 4 ? 4 : 6
    if (prefix === undefined) {
      const message = `${valueText(text)} is not an IP address or a prefix whose other bits are zero`
      scope.problems.push({ path: `${path}[${i}]`, message })
    } else if (listen !== null && family !== listen.family) {
      scope.problems.push({ path: `${path}[${i}]`, message: `${valueText(text)} is not of the IP version of listen` })
    }
  }
}

/** Our own socket: an IP address, not a group. Null, and a problem, when it is not. */
export function listenAddress(
  text: string,
  path: string,
  scope: Scope,
  defaultPort: number | null = null,
): HostPort | null {
  const parsed = parseHostPort(text)
  const address = parsed === undefined || parsed.family === null ? null : withPort(parsed, defaultPort)
  if (address === null || address.port === null) {
    const message = `${valueText(text)} is not an IP address of this machine ${defaultPort === null ? 'and' : 'with or without'} a port`
    scope.problems.push({ path, message })
    return null
  }
  if (isMulticastIp(parseIp(address.host) as Uint8Array)) {
    scope.problems.push({ path, message: `${valueText(text)} is a multicast group, not an address of this machine` })
    return null
  }
  return address
}

/** Somebody else's. Returns it in its usual form. */
export function peerAddress(
  text: string,
  listen: HostPort | null,
  path: string,
  defaultPort: number | null,
  scope: Scope,
): string {
  const parsed = parseHostPort(text)
  const address = parsed === undefined ? null : withPort(parsed, defaultPort)
  if (address === null || address.port === null || address.port === 0) {
    const message = `${valueText(text)} is not an IP address or a name ${defaultPort === null ? 'and' : 'with or without'} a port`
    scope.problems.push({ path, message })
    return text
  }
  const normal = formatHostPort(address)
  const ip = address.family === null ? null : (parseIp(address.host) as Uint8Array)
  if (ip !== null && (isMulticastIp(ip) || ip.every(octet => octet === 0))) {
    scope.problems.push({ path, message: `${valueText(text)} is not the address of one peer` })
  } else if (listen !== null && address.family !== null && address.family !== listen.family) {
    scope.problems.push({ path, message: `${valueText(text)} is not of the IP version of listen` })
  } else if (listen !== null && normal === formatHostPort(listen)) {
    scope.problems.push({ path, message: `${valueText(text)} is this socket's own address; that is a loop` })
  }
  return normal
}

export function checkDistinct(values: readonly string[], path: string, scope: Scope): void {
  for (const [i, value] of values.entries()) {
    const first = values.indexOf(value)
    if (first === i) continue
    scope.problems.push({
      path: `${path}[${i}]`,
      message: `${valueText(value)} is there already, as ${path}[${first}]`,
    })
  }
}

function groupAddress(text: string, path: string, scope: Scope): string {
  const parsed = parseHostPort(text)
  const ip = parsed === undefined || parsed.family === null ? undefined : parseIp(parsed.host)
  if (parsed === undefined || ip === undefined || !isMulticastIp(ip) || !parsed.port) {
    const message = `${valueText(text)} is not a multicast address (224.0.0.0/4 or ff00::/8) and a port`
    scope.problems.push({ path: `${path}.group`, message })
    return text
  }
  return formatHostPort(parsed)
}

function withPort(address: HostPort, defaultPort: number | null): HostPort {
  return address.port === null ? { ...address, port: defaultPort } : address
}

export function textOf(address: HostPort | null, given: string): string {
  return address === null ? given : formatHostPort(address)
}

function effective(config: UdpConfig): Record<string, unknown> {
  if (config.role === 'group') {
    const { role: _role, interface: by, ...rest } = config
    return { ...rest, ...(by === null ? {} : { interface: by }) }
  }
  const { role: _role, ...rest } = config
  return rest
}
