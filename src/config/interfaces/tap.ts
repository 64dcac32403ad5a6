/** Options of the `tap` interface: a TAP of Linux, with the host, a NAT or a bridge behind it. */
import { z } from 'zod'
import { TAGGED_HEADER_BYTES } from '../../wire/ethernet.js'
import { formatIpv4, parseIpv4, parseIpv6 } from '../../wire/ip-address.js'
import { broadcastOf, contains, type Ipv4Interface, networkOf, parseIpv4Interface } from '../../wire/ipv4-network.js'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { account, allow, flag, group, macAddress, name, shortList, wholeNumber } from '../fields.js'
import { valueText } from '../messages.js'
import { portPolicyOfOne } from '../port-schema.js'
import { resolveAccount, resolvePort, type Scope } from '../scope.js'

const modes = ['host', 'shared', 'bridged'] as const
export type TapMode = (typeof modes)[number]

const modeIs = <Mode extends TapMode>(mode: Mode) =>
  allow(`one of ${modes.map(each => `"${each}"`).join(', ')}`, z.literal(mode))

/** IFNAMSIZ leaves 15 bytes. The names of our nftables table and of files are made from it. */
export const LINK_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,14}$/
/** A file name in /run/netns. */
export const NETNS_NAME = /^(?!\.{1,2}$)[^/\0]{1,255}$/

const linkName = (what: string) => allow(what, z.string().regex(LINK_NAME))
const LINK = 'the name of a network interface: letters, digits, "_", "." and "-", at most 15, beginning with a letter'

const ipv4 = () =>
  allow(
    'an IPv4 address such as 10.9.0.2',
    z.string().refine(text => parseIpv4(text) !== undefined),
  )
const ipv4Interface = () =>
  allow(
    'an IPv4 address with its prefix length, such as 10.9.0.1/24',
    z.string().refine(text => parseIpv4Interface(text) !== undefined),
  )
const ipAddress = () =>
  allow(
    'an IPv4 or IPv6 address',
    z.string().refine(text => parseIpv4(text) !== undefined || parseIpv6(text) !== undefined),
  )

const common = {
  name: name().describe('Name of the interface, and of its port.'),
  type: z.literal('tap').describe('A TAP. Linux only.'),
  device: allow(
    `${LINK}; "%d" stands for the first free number`,
    z.string().regex(/^(?=.{1,15}$)[A-Za-z][A-Za-z0-9_.-]*(?:%d)?$/),
  )
    .default('tap%d')
    .describe('Name of the TAP; `%d` at the end is the first free number. One that is there already is attached to.'),
  netns: allow('the name of a network namespace, as ip netns shows it', z.string().regex(NETNS_NAME))
    .optional()
    .describe(
      'Network namespace of the TAP and of all that belongs to it, by name (`ip netns`). Default: that of the switch.',
    ),
  mac: macAddress()
    .optional()
    .describe(
      "Address of the TAP. Default: made from this machine's id and the name, so that it is the same after a restart.",
    ),
  mtu: wholeNumber(68, 65_521).optional().describe('IP MTU of the TAP, in bytes. Default: 1500, or what it has.'),
  persistent: flag()
    .default(false)
    .describe(
      'The TAP stays, as it is set up, when the switch ends; another start, also without root, attaches to it.',
    ),
  owner: account('user').optional().describe('Who may attach to it without root. Only with `persistent`.'),
  port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
}

const range = {
  start: ipv4().optional().describe('First address given out. Default: the first one free.'),
  end: ipv4().optional().describe('Last address given out. Default: the last one free.'),
  leaseSeconds: wholeNumber(120, 31_536_000).default(3600).describe('Seconds for which an address is given.'),
}

const noBridge = { bridge: 'only with mode: bridged', createBridge: 'only with mode: bridged' }

const host = group(
  {
    ...common,
    mode: modeIs('host').describe('`host`: the host is a station on the switch, and nothing else is behind it.'),
    address: ipv4Interface()
      .optional()
      .describe("The host's address and prefix length. Default: none, or what the TAP has."),
    dhcp: allow(
      'false or a mapping of options',
      z.union([group(range, { dns: 'only with mode: shared' }), z.literal(false)]),
    )
      .default(false)
      .describe('Addresses for the guests, by a dnsmasq of our own; without a router or DNS server. Default: none.'),
  },
  noBridge,
)

const shared = group(
  {
    ...common,
    mode: modeIs('shared').describe("`shared`: the host's network by NAT, with DHCP and DNS."),
    address: ipv4Interface().describe("The host's address, which is the guests' router, and prefix length."),
    dhcp: allow(
      'false or a mapping of options',
      z.union([
        group({
          ...range,
          dns: shortList(ipAddress(), 8)
            .optional()
            .describe('DNS servers that questions are handed on to. Default: those of the host.'),
        }),
        z.literal(false),
      ]),
    )
      .prefault({})
      .describe('Addresses and DNS for the guests, by a dnsmasq of our own; `false`: none.'),
  },
  noBridge,
)

const bridged = group(
  {
    ...common,
    mode: modeIs('bridged').describe('`bridged`: a port of a Linux bridge.'),
    bridge: linkName(LINK).describe('The bridge to join.'),
    createBridge: flag()
      .default(false)
      .describe('Make the bridge where it is missing, and remove it afterwards, if nobody else has joined it.'),
  },
  { address: 'not with mode: bridged; give the address to the bridge', dhcp: 'not with mode: bridged' },
)

const forms = [host, shared, bridged] as const
type Input = z.output<(typeof forms)[number]>
type DhcpInput = Exclude<z.output<typeof shared>['dhcp'] | z.output<typeof host>['dhcp'], false>

/** Addresses in dotted decimal. */
export interface TapDhcpConfig {
  readonly start: string
  readonly end: string
  readonly leaseSeconds: number
  /** Whom dnsmasq asks; null: whom the host asks. */
  readonly dns: readonly string[] | null
}

export interface TapConfig {
  readonly type: 'tap'
  readonly name: string
  readonly mode: TapMode
  /** A name, or a pattern that ends in `%d`. */
  readonly device: string
  readonly netns: string | null
  /** Lower case, colons; null: made up by us for a new TAP, left alone for one that is there. */
  readonly mac: string | null
  /** Null: 1500 for a new TAP, left alone for one that is there. */
  readonly mtu: number | null
  readonly persistent: boolean
  /** A uid. */
  readonly owner: number | null
  /** As `10.9.0.1/24`. */
  readonly address: string | null
  readonly dhcp: TapDhcpConfig | null
  readonly bridge: string | null
  readonly createBridge: boolean
  readonly port: PortPolicyConfig
}

export const tap: AttachmentType<typeof forms, TapConfig> = { forms, resolve, effective, fixedPorts: () => 1, claims }

function resolve(input: Input, path: string, scope: Scope): TapConfig {
  const { name, type, mode, device, persistent } = input
  const address = 'address' in input ? (input.address ?? null) : null
  const mtu = input.mtu ?? null
  checkMac(input.mac, `${path}.mac`, scope)
  checkMtu(mtu, `${path}.mtu`, scope)
  const network = address === null ? undefined : resolveAddress(address, `${path}.address`, scope)
  if (input.owner !== undefined && !persistent) {
    scope.problems.push({ path: `${path}.owner`, message: 'only with persistent: true' })
  }
  const port = resolvePort(input.port, `${path}.port`, scope)
  return {
    type,
    name,
    mode,
    device,
    netns: input.netns ?? null,
    mac: input.mac?.toLowerCase().replaceAll('-', ':') ?? null,
    mtu,
    persistent,
    owner: resolveAccount('user', input.owner, `${path}.owner`, scope),
    address,
    dhcp:
      'dhcp' in input && input.dhcp !== false ? resolveDhcp(input.dhcp, network, address, `${path}.dhcp`, scope) : null,
    bridge: 'bridge' in input ? input.bridge : null,
    createBridge: 'createBridge' in input && input.createBridge,
    // The kernel takes longer frames than the MTU of the TAP allows, so the port refuses them.
    port: mtu === null ? port : { ...port, maxFrameSize: Math.min(port.maxFrameSize, mtu + TAGGED_HEADER_BYTES) },
  }
}

function checkMac(mac: string | undefined, path: string, { problems }: Scope): void {
  if (mac === undefined) return
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 && /[1-9a-f]/i.test(mac)) return
  problems.push({
    path,
    message: `${valueText(mac)} is not the address of one station: it is a group address or all zeros`,
  })
}

function checkMtu(mtu: number | null, path: string, { problems, switch: { maxFrameSize } }: Scope): void {
  if (mtu === null || mtu + 14 <= maxFrameSize) return
  problems.push({
    path,
    message: `${mtu} makes frames of ${mtu + 14} bytes, and switch.maxFrameSize is ${maxFrameSize}`,
  })
}

/** Undefined when it cannot be a host's. */
function resolveAddress(text: string, path: string, { problems }: Scope): Ipv4Interface | undefined {
  const network = parseIpv4Interface(text) as Ipv4Interface
  const { address, prefixLength } = network
  const problem = (message: string) => {
    problems.push({ path, message: `${valueText(text)} ${message}` })
    return undefined
  }
  const first = address >>> 24
  if (first === 0 || first === 127 || first >= 224) return problem('is not an address for a network of hosts')
  if (prefixLength < 8 || prefixLength > 30) return problem('leaves no room for guests: the prefix length is 8 to 30')
  if (address === networkOf(network)) return problem('is the address of the network itself, not of a host in it')
  if (address === broadcastOf(network)) return problem("is the network's broadcast address, not that of a host")
  return network
}

function resolveDhcp(
  input: DhcpInput,
  network: Ipv4Interface | undefined,
  address: string | null,
  path: string,
  { problems }: Scope,
): TapDhcpConfig | null {
  if (network === undefined) {
    if (address === null) problems.push({ path, message: 'needs an address' })
    return null
  }
  const free = freeRange(network)
  const start = parseIpv4(input.start ?? formatIpv4(free.start)) as number
  const end = parseIpv4(input.end ?? formatIpv4(free.end)) as number
  const given = { start: input.start, end: input.end }
  for (const key of ['start', 'end'] as const) {
    const value = { start, end }[key]
    if (given[key] === undefined) continue
    if (!contains(network, value) || value === networkOf(network) || value === broadcastOf(network)) {
      problems.push({
        path: `${path}.${key}`,
        message: `${valueText(given[key])} is not an address for a guest of ${address}`,
      })
    }
  }
  if (start > end) {
    problems.push({ path: `${path}.start`, message: `"${formatIpv4(start)}" is beyond the end, "${formatIpv4(end)}"` })
  } else if (start <= network.address && network.address <= end) {
    const message = `from ${formatIpv4(start)} to ${formatIpv4(end)} is also ${formatIpv4(network.address)}, the host's own address`
    problems.push({ path, message })
  }
  const dns = 'dns' in input ? input.dns : undefined
  return { start: formatIpv4(start), end: formatIpv4(end), leaseSeconds: input.leaseSeconds, dns: dns ?? null }
}

/** The longer of the two runs of addresses that the host's own leaves. */
function freeRange(network: Ipv4Interface): { start: number; end: number } {
  const { address } = network
  const first = networkOf(network) + 1
  const last = broadcastOf(network) - 1
  return address - first > last - address ? { start: first, end: address - 1 } : { start: address + 1, end: last }
}

function effective(config: TapConfig): Record<string, unknown> {
  const { netns, mac, mtu, owner, address, dhcp, bridge, createBridge, port, ...rest } = config
  const given = Object.entries({ netns, mac, mtu, owner, address }).filter(([, value]) => value !== null)
  return {
    ...rest,
    ...Object.fromEntries(given),
    ...(config.mode === 'bridged' ? { bridge, createBridge } : { dhcp: dhcp === null ? false : effectiveDhcp(dhcp) }),
    port,
  }
}

function effectiveDhcp({ dns, ...range }: TapDhcpConfig): Record<string, unknown> {
  return dns === null ? range : { ...range, dns }
}

function claims({ device, netns, address }: TapConfig): readonly string[] {
  const where = netns === null ? '' : ` in ${netns}`
  return [
    ...(device.endsWith('%d') ? [] : [`device:${device}${where}`]),
    ...(address === null ? [] : [`address:${address}${where}`]),
  ]
}
