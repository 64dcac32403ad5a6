/**
 * Options of the `slirp` interface: NAT, DHCP and DNS inside the process, through libslirp. Addresses that are not
 * given are derived from the network, as QEMU's user network has them: gateway .2, DNS .3, guests from .15.
 */
import { z } from 'zod'
import type { Problem } from '../../errors.js'
import { formatIpv4, parseIpv4, parseIpv6 } from '../../wire/ip-address.js'
import { broadcastOf, contains, type Ipv4Interface, networkOf, parseIpv4Interface } from '../../wire/ipv4-network.js'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { allow, flag, group, list, name, shortList, wholeNumber } from '../fields.js'
import { checkForwards, type Forward, type ForwardEnd, forwardForm, forwardKey, parseForwardEnd } from '../forwards.js'
import { valueText } from '../messages.js'
import { portPolicyOfOne } from '../port-schema.js'
import { resolvePort, type Scope } from '../scope.js'
import { slirpLeases } from './slirp-leases.js'

export { slirpLeases }

/** Bytes of Ethernet in front of an IP packet. */
const ETHERNET = 14

const ipv4 = () =>
  allow(
    'an IPv4 address such as "10.0.2.2"',
    z.string().refine(text => parseIpv4(text) !== undefined),
  )
const ipv6 = () =>
  allow(
    'an IPv6 address such as "fd00::2"',
    z.string().refine(text => parseIpv6(text) !== undefined),
  )
const off = () => z.literal(false)
const domain = () =>
  allow(
    'a domain name',
    z.string().regex(/^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*$/),
  )

const ipv6Network = group({
  prefix: allow(
    'an IPv6 network of 64 bits such as "fd00::/64"',
    z
      .string()
      .regex(/\/64$/)
      .refine(text => parsePrefix6(text) !== undefined),
  )
    .default('fd00::/64')
    .describe('Network of the guests, announced by router advertisements.'),
  gateway: ipv6().optional().describe('Address of the gateway. Default: the second of the network.'),
  dns: ipv6().optional().describe('Address of the name server. Default: the third of the network.'),
})

const form = group({
  name: name().describe('Name of the interface, and of its port.'),
  type: z.literal('slirp').describe('NAT, DHCP and DNS inside the process, without any privilege (libslirp).'),
  network: allow(
    'an IPv4 network of 8 to 27 bits such as "10.0.2.0/24"',
    z.string().refine(text => parseNetwork(text) !== undefined),
  )
    .default('10.0.2.0/24')
    .describe('Network of the guests.'),
  gateway: ipv4().optional().describe('Address of the gateway and DHCP server. Default: the second of the network.'),
  dns: z
    .union([ipv4(), off()])
    .optional()
    .describe(
      'Address of the name server, which asks those of the host; `false`: none. Default: the third of the network.',
    ),
  dhcp: flag().default(true).describe('Whether guests get addresses.'),
  dhcpStart: ipv4()
    .optional()
    .describe(`First of the ${slirpLeases} addresses that guests get. Default: the fifteenth of the network.`),
  hostname: allow('a host name of at most 32 bytes', z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$/))
    .optional()
    .describe('Host name that DHCP gives to every guest.'),
  domain: domain().optional().describe('Domain name that DHCP gives to guests.'),
  search: shortList(domain(), 6).default([]).describe('Domains that guests search, by DHCP.'),
  ipv6: z.union([ipv6Network, off()]).prefault({}).describe('IPv6 beside IPv4; `false`: none.'),
  mtu: wholeNumber(576, 65_521).default(1500).describe('Bytes of the longest IP packet that guests are sent.'),
  restricted: flag().default(false).describe('Guests reach nothing outside; forwards still reach them.'),
  hostLoopback: flag()
    .default(false)
    .describe("Whether guests reach what listens on the host's loopback addresses, under the gateway's address."),
  outboundAddress: ipv4().optional().describe('Address of this host that connections of guests come from.'),
  outboundAddress6: ipv6().optional().describe('The same for IPv6.'),
  maxConnections: wholeNumber(16, 65_536)
    .default(1000)
    .describe(
      'Connections and datagram flows that guests open, all guests at the same time; each is an open file of this process. One guest gets at most four fifths. Connections that come in through forwards may be as many again. With libslirp before 4.6 only those of TCP are limited.',
    ),
  forwards: list(forwardForm).default([]).describe('Port forwards from this host to guests.'),
  port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
})
const forms = [form] as const
type Input = z.output<typeof form>

export interface SlirpConfig {
  readonly type: 'slirp'
  readonly name: string
  readonly port: PortPolicyConfig
  readonly network: string
  readonly gateway: string
  /** `false`: no name server. */
  readonly dns: string | false
  readonly dhcp: boolean
  readonly dhcpStart: string
  readonly hostname: string | null
  readonly domain: string | null
  readonly search: readonly string[]
  readonly ipv6: { readonly prefix: string; readonly gateway: string; readonly dns: string } | false
  readonly mtu: number
  readonly restricted: boolean
  readonly hostLoopback: boolean
  readonly outboundAddress: string | null
  readonly outboundAddress6: string | null
  readonly maxConnections: number
  readonly forwards: readonly Forward[]
}

export const slirp: AttachmentType<typeof forms, SlirpConfig> = {
  forms,
  resolve: resolveSlirp,
  effective: config => Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null)),
  fixedPorts: () => 1,
  claims: config => [...config.forwards.map(forwardKey), `gateway ${config.gateway}`],
}

/** What `auto` gives to slirp, where that is what it chooses; everything else is at its default. */
export function slirpInput(options: Partial<Input> & Pick<Input, 'name'>): Input {
  return form.parse({ type: 'slirp', ...options })
}

export function resolveSlirp(input: Input, path: string, scope: Scope): SlirpConfig {
  const port = resolvePort(input.port, `${path}.port`, scope)
  const network = parseNetwork(input.network) as Ipv4Interface
  const derived = (n: number) => formatIpv4(network.address + n)
  const { gateway = derived(2), dns = derived(3), dhcpStart = derived(15) } = input
  const config: SlirpConfig = {
    type: 'slirp',
    name: input.name,
    port,
    network: input.network,
    gateway,
    dns,
    dhcp: input.dhcp,
    dhcpStart,
    hostname: input.hostname ?? null,
    domain: input.domain ?? null,
    search: input.search,
    ipv6: input.ipv6 === false ? false : withIpv6Defaults(input.ipv6),
    mtu: input.mtu,
    restricted: input.restricted,
    hostLoopback: input.hostLoopback,
    outboundAddress: input.outboundAddress ?? null,
    outboundAddress6: input.outboundAddress6 ?? null,
    maxConnections: input.maxConnections,
    forwards: input.forwards,
  }
  checkAddresses(config, network, path, scope)
  checkForwards(config.forwards, `${path}.forwards`, scope.problems)
  checkDatagramForwards(config.forwards, `${path}.forwards`, scope)
  for (const [i, forward] of config.forwards.entries()) {
    const problem = forwardProblem(config, forward)
    if (problem !== undefined) scope.problems.push({ path: `${path}.forwards[${i}]`, message: problem })
  }
  if (config.mtu + ETHERNET > port.maxFrameSize) {
    const message = `${config.mtu} makes frames of ${config.mtu + ETHERNET} bytes, more than ${path}.port.maxFrameSize, which is ${port.maxFrameSize}`
    scope.problems.push({ path: `${path}.mtu`, message })
  }
  return config
}

/**
 * libslirp knows a UDP forward by the guest's address and port alone, so the answers to a second one would leave from
 * the first. Two with the same key cannot be in force together; null for TCP, which has no such limit.
 */
export function datagramKey({ protocol, guest }: Pick<Forward, 'protocol' | 'guest'>): string | null {
  const end = protocol === 'udp' ? parseForwardEnd(guest) : undefined
  if (end === undefined || end.family === 'unix') return null
  return `${end.family === 'ipv4' ? end.address : parseIpv6(end.address)}:${end.port}`
}

export const datagramProblem = (guest: string, host: string): string =>
  `udp port ${valueText(guest)} of the guest is forwarded from ${valueText(host)} already, and answers would come from there; forward to another port of the guest`

function checkDatagramForwards(forwards: readonly Forward[], path: string, { problems }: Scope): void {
  const taken = new Map<string, Forward>()
  for (const [i, forward] of forwards.entries()) {
    const key = datagramKey(forward)
    if (key === null) continue
    const first = taken.get(key)
    if (first === undefined) taken.set(key, forward)
    else problems.push({ path: `${path}[${i}].guest`, message: datagramProblem(forward.guest, first.host) })
  }
}

/**
 * Every stack answers for its gateway, and for the IPv6 router fe80::2: two on one switch answer each other's guests.
 */
export function checkStacks(stacks: readonly { path: string; config: SlirpConfig }[], problems: Problem[]): void {
  const gateways = new Map<string, string>()
  let router: string | undefined
  for (const { path, config } of stacks) {
    const first = gateways.get(config.gateway)
    if (first === undefined) gateways.set(config.gateway, path)
    else {
      const message = `"${config.gateway}" is the gateway of ${first}, too, and both would answer for it; give one of them another network`
      problems.push({ path: `${path}.network`, message })
      continue
    }
    if (config.ipv6 === false) continue
    if (router === undefined) router = path
    else {
      const message = `${router} is the IPv6 router fe80::2 of this switch already; set ipv6: false on one of them`
      problems.push({ path: `${path}.ipv6`, message })
    }
  }
}

/** What libslirp cannot forward; undefined when it can. */
export function forwardProblem(
  { network, ipv6, hostLoopback }: Pick<SlirpConfig, 'network' | 'ipv6' | 'hostLoopback'>,
  { protocol, host, guest }: Forward,
): string | undefined {
  const from = parseForwardEnd(host)
  const to = parseForwardEnd(guest)
  const fromIpv6 = from?.family === 'ipv6'
  if (fromIpv6 !== (to?.family === 'ipv6')) {
    return `${valueText(host)} and ${valueText(guest)} are not both IPv4 or both IPv6 (unix sockets go to IPv4)`
  }
  if (protocol === 'udp' && !hostLoopback && from !== undefined && isLoopback(from)) {
    // libslirp translates the sender to the gateway's address, and drops what goes to that.
    return `answers to datagrams from ${valueText(host)} are part of the host's loopback: udp needs hostLoopback: true`
  }
  if (to?.family === 'ipv4') {
    const isInside = contains(parseNetwork(network) as Ipv4Interface, parseIpv4(to.address) as number)
    return isInside ? undefined : `${valueText(guest)} is not in ${network}`
  }
  return ipv6 === false ? `${valueText(guest)} is an IPv6 address, and ipv6 is false` : undefined
}

function isLoopback(end: ForwardEnd): boolean {
  if (end.family === 'ipv4') return (parseIpv4(end.address) as number) >>> 24 === 127
  return end.family === 'ipv6' && parseIpv6(end.address)?.every((byte, i) => byte === (i === 15 ? 1 : 0)) === true
}

/** Undefined when it is not the name of a network that slirp can have: 8 to 27 bits, neither loopback nor 0.0.0.0/8. */
export function parseNetwork(text: string): Ipv4Interface | undefined {
  const network = parseIpv4Interface(text)
  if (network === undefined || network.prefixLength < 8 || network.prefixLength > 27) return undefined
  const first = network.address >>> 24
  return networkOf(network) === network.address && first !== 127 && first !== 0 ? network : undefined
}

/** The first sixteen bytes of the network, the last eight of them 0. */
export function parsePrefix6(text: string): Uint8Array | undefined {
  const bytes = parseIpv6(text.replace(/\/64$/, ''))
  const isNetwork =
    bytes?.subarray(8).every(byte => byte === 0) === true && bytes.subarray(0, 8).some(byte => byte !== 0)
  return isNetwork ? bytes : undefined
}

function withIpv6Defaults({ prefix, gateway, dns }: z.output<typeof ipv6Network>): NonNullable<SlirpConfig['ipv6']> {
  const front = prefix.replace(/(::)?\/64$/, '')
  const groups = front.split(':').length
  const derived = (n: number) => (groups >= 8 ? front.replace(/:0+$/, `:${n}`) : `${front}::${n}`)
  return { prefix, gateway: gateway ?? derived(2), dns: dns ?? derived(3) }
}

/** All inside the network, all different, and none in the way of DHCP. */
function checkAddresses(config: SlirpConfig, network: Ipv4Interface, path: string, { problems }: Scope): void {
  const { gateway, dns, dhcpStart } = config
  const broadcast = broadcastOf(network)
  const options = { gateway, ...(dns === false ? {} : { dns }), dhcpStart }
  const start = parseIpv4(dhcpStart) as number
  const end = start + slirpLeases - 1
  for (const [option, text] of Object.entries(options)) {
    const address = parseIpv4(text) as number
    const at = `${path}.${option}`
    if (!contains(network, address) || address === network.address || address === broadcast) {
      problems.push({ path: at, message: `"${text}" is not the address of a station in ${config.network}` })
    } else if (option !== 'dhcpStart' && address >= start && address <= end) {
      const message = `"${text}" is among the ${slirpLeases} addresses that guests get, ${dhcpStart} to ${formatIpv4(end)}`
      problems.push({ path: at, message })
    }
  }
  if (start < broadcast && end >= broadcast) {
    const message = `"${dhcpStart}" leaves less than ${slirpLeases} addresses in ${config.network}`
    problems.push({ path: `${path}.dhcpStart`, message })
  }
  if (dns === gateway) problems.push({ path: `${path}.dns`, message: `"${dns}" is the gateway, too; they must differ` })
}
