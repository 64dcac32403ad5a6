/** Options of the `vmnet` interface: macOS's own networks. What fits together is in vmnet-rules.ts. */
import { z } from 'zod'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { allow, flag, group, list, macAddress, name, oneOf, shortList, text, wholeNumber } from '../fields.js'
import { checkForwards, type Forward, forwardForm } from '../forwards.js'
import { portPolicyOfOne } from '../port-schema.js'
import { resolvePort, type Scope } from '../scope.js'
import { forwardProblem, type VmnetOptions, vmnetModes, vmnetProblems } from './vmnet-rules.js'

const address = (what: string) => allow(`an IPv4 address such as "${what}"`, z.string().min(1))
const uuid = () => allow('a UUID', z.string().min(1))

const form = group(
  {
    name: name().describe('Name of the interface, and of its port.'),
    type: z.literal('vmnet').describe('A network of macOS, by vmnet.framework.'),
    mode: oneOf(vmnetModes)
      .default('shared')
      .describe(
        '`shared`: NAT, DHCP and DNS by macOS. `host`: the Mac and the guests alone. `bridged`: guests join the network of `bridgeInterface`.',
      ),
    mac: macAddress()
      .optional()
      .describe('Address that this side of the interface goes by. Default: one that vmnet makes up.'),
    mtu: wholeNumber(68, 65_521)
      .optional()
      .describe(
        'Bytes of an IP packet; not in bridged mode. Default: 1500. `switch.maxFrameSize` must have room for it and 14 more.',
      ),
    bridgeInterface: text('the name of an interface')
      .optional()
      .describe('In bridged mode, the interface to join, e.g. `en0`; `tapswitch doctor` lists them.'),
    dhcpStart: address('192.168.70.1')
      .optional()
      .describe(
        "The Mac's own address, before the first one that DHCP hands out; private. With `dhcpEnd` and `subnetMask`, or none of the three: then vmnet takes a free subnet.",
      ),
    dhcpEnd: address('192.168.70.254').optional().describe('The last address that DHCP hands out.'),
    subnetMask: address('255.255.255.0').optional().describe('Netmask of the subnet.'),
    dhcp: flag().default(true).describe('`false`: no DHCP server; macOS 26.'),
    reservations: list(
      group({
        mac: macAddress().describe('MAC address of the station.'),
        address: address('192.168.70.10').describe('The address it always gets.'),
      }),
    )
      .default([])
      .describe(
        'Addresses that DHCP keeps for one station each; macOS 26, with `dhcpStart`, `dhcpEnd` and `subnetMask`.',
      ),
    externalInterface: text('the name of an interface')
      .optional()
      .describe('In shared mode, the interface that leads outside; macOS 26. Default: that of the default route.'),
    isolated: flag().default(false).describe('Frames do not pass between this and other vmnet interfaces.'),
    interfaceId: uuid().optional().describe('UUID; with the same one vmnet hands out the same MAC address again.'),
    networkId: uuid()
      .optional()
      .describe('In host mode, UUID of a network that only interfaces with the same one join; without DHCP.'),
    hostAddress: text('an address such as "10.9.0.1/24"')
      .optional()
      .describe('With `networkId`, address and prefix length of the Mac there, e.g. `10.9.0.1/24`.'),
    nat66Prefix: text('a prefix such as "fd12:3456:789a:1::"')
      .optional()
      .describe(
        'In shared mode, the unique local IPv6 prefix of 64 bits, e.g. `fd12:3456:789a:1::`. Default: vmnet chooses.',
      ),
    enableTso: flag()
      .default(false)
      .describe('Segments of up to 64 KiB instead of frames, without checksums; `switch.maxFrameSize` must be 65550.'),
    enableChecksumOffload: flag().default(false).describe('vmnet drops packets whose checksums are wrong.'),
    api: oneOf(['auto', 'classic'])
      .default('auto')
      .describe(
        '`auto`: the network objects of macOS 26 where they exist and can say what is asked for. `classic`: never.',
      ),
    forwards: shortList(forwardForm, 256)
      .default([])
      .describe('In shared mode, ports of the Mac that lead to a guest; `host` is `0.0.0.0:PORT` or `[::]:PORT`.'),
    port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
  },
  { bridge: 'only with type: tap; here it is bridgeInterface' },
)
const forms = [form] as const
type Input = z.output<typeof form>

export interface VmnetConfig {
  readonly type: 'vmnet'
  readonly name: string
  /** As `VmnetInterface` takes them. */
  readonly vmnet: VmnetOptions
  readonly forwards: readonly Forward[]
  readonly port: PortPolicyConfig
}

export const vmnet: AttachmentType<typeof forms, VmnetConfig> = {
  forms,
  resolve,
  effective: ({ type, name, vmnet: options, forwards, port }) => ({ name, type, ...options, forwards, port }),
  fixedPorts: () => 1,
  claims: ({ vmnet: { mode, bridgeInterface, networkId } }) => [
    ...(mode === 'bridged' ? [`vmnet ${bridgeInterface}`] : []),
    ...(networkId === undefined ? [] : [`vmnet network ${networkId}`]),
  ],
}

/** Bytes of the Ethernet header. */
const HEADER = 14

function resolve(input: Input, path: string, scope: Scope): VmnetConfig {
  const { type, name, port: portInput, forwards, ...options } = input
  const { problems } = scope
  problems.push(...vmnetProblems(options).map(problem => ({ ...problem, path: `${path}.${problem.path}` })))
  const port = resolvePort(portInput, `${path}.port`, scope)
  if (options.mtu !== undefined && options.mtu + HEADER > port.maxFrameSize) {
    const message = `${options.mtu} makes frames of ${options.mtu + HEADER} bytes, and the port's maxFrameSize is ${port.maxFrameSize}`
    problems.push({ path: `${path}.mtu`, message })
  }
  if (options.enableTso && port.maxFrameSize < 65_550) {
    const message = `true makes frames of 65550 bytes, and the port's maxFrameSize is ${port.maxFrameSize}`
    problems.push({ path: `${path}.enableTso`, message })
  }
  checkForwards(forwards, `${path}.forwards`, problems)
  for (const [i, forward] of forwards.entries()) {
    const message =
      options.mode === 'shared' ? forwardProblem(forward) : `only with mode: shared, this is ${options.mode}`
    if (message !== undefined) problems.push({ path: `${path}.forwards[${i}]`, message })
  }
  return { type, name, vmnet: options, forwards, port }
}
