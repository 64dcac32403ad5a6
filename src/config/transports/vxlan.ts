/** Options of the `vxlan` transport: one network of a VXLAN fabric (RFC 7348) as one port. */
import { z } from 'zod'
import { MAX_VNI, VXLAN_PORT } from '../../wire/vxlan.js'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { flag, group, name, shortList, wholeNumber } from '../fields.js'
import { parseHostPort, udpAddress } from '../inet-address.js'
import { portPolicyOfOne } from '../port-schema.js'
import { resolvePort, type Scope } from '../scope.js'
import { checkDistinct, checkPrefixes, listenAddress, peerAddress, sourcePrefix, textOf } from './udp.js'

/** Every flooded frame is sent to each of them. */
const maxRemotes = 512

const form = group({
  name: name().describe('Name of the transport and of its port.'),
  type: z.literal('vxlan').describe('One network of a VXLAN fabric. Neither authenticated nor encrypted.'),
  vni: wholeNumber(0, MAX_VNI).describe('VXLAN network identifier.'),
  listen: udpAddress('an IP address of this machine, with or without a port').describe(
    'Address of this VTEP, such as `10.0.0.1` or `10.0.0.1:4789`; port 4789 where none is given. Networks with the same one share its socket.',
  ),
  remotes: shortList(udpAddress('an address or a name, with or without a port'), maxRemotes)
    .default([])
    .describe(
      'Other VTEPs of this network; the port is that of `listen` where none is given. Names are looked up at the start and every minute.',
    ),
  learnRemotes: flag()
    .default(false)
    .describe('Whether an address of `allowedSources` that sends becomes a remote. Others are counted and ignored.'),
  allowedSources: shortList(sourcePrefix(), 256)
    .default([])
    .describe('Addresses and prefixes that may become remotes. Required with `learnRemotes`.'),
  maxRemotes: wholeNumber(1, maxRemotes).default(64).describe('Learned remotes there may be at the same time.'),
  remoteTimeoutSeconds: wholeNumber(1, 1_000_000)
    .default(300)
    .describe('Seconds of silence after which a learned remote is forgotten.'),
  ageingSeconds: wholeNumber(1, 1_000_000)
    .optional()
    .describe(
      'Seconds after its last frame until the remote of a MAC address is forgotten. Default: `switch.fdb.ageingSeconds`.',
    ),
  sourcePorts: wholeNumber(0, 64)
    .default(8)
    .describe('UDP source ports that flows are spread over; 0: everything leaves from the port of `listen`.'),
  fragment: flag()
    .default(false)
    .describe(
      'Whether a datagram that is too long for its path may be sent in fragments. `false`: it is dropped and counted.',
    ),
  port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
})

const forms = [form] as const
type Input = z.output<typeof form>

export interface VxlanConfig {
  readonly type: 'vxlan'
  readonly name: string
  readonly vni: number
  /** IP address and port. */
  readonly listen: string
  /** Addresses or names, with ports. */
  readonly remotes: readonly string[]
  readonly learnRemotes: boolean
  readonly allowedSources: readonly string[]
  readonly maxRemotes: number
  readonly remoteTimeoutSeconds: number
  readonly ageingSeconds: number
  readonly sourcePorts: number
  readonly fragment: boolean
  readonly port: PortPolicyConfig
}

export const vxlan: AttachmentType<typeof forms, VxlanConfig> = {
  forms,
  resolve,
  effective: config => ({ ...config }),
  fixedPorts: () => 1,
  claims: config => [`vxlan:${config.listen}:${config.vni}`],
}

function resolve(input: Input, path: string, scope: Scope): VxlanConfig {
  const listen = listenAddress(input.listen, `${path}.listen`, scope, VXLAN_PORT)
  if (listen?.port === 0) {
    scope.problems.push({ path: `${path}.listen`, message: 'port 0 is no port that remotes could send to' })
  }
  const remotes = input.remotes.map((remote, i) =>
    peerAddress(remote, listen, `${path}.remotes[${i}]`, listen?.port ?? VXLAN_PORT, scope),
  )
  // A VTEP is known by its IP address; its source port follows the flow.
  checkDistinct(
    remotes.map(remote => parseHostPort(remote)?.host ?? remote),
    `${path}.remotes`,
    scope,
  )
  checkLearning(input, path, scope)
  checkPrefixes(input.allowedSources, listen, `${path}.allowedSources`, scope)
  return {
    ...input,
    listen: textOf(listen, input.listen),
    remotes,
    ageingSeconds: input.ageingSeconds ?? scope.switch.fdb.ageingSeconds,
    port: resolvePort(input.port, `${path}.port`, scope),
  }
}

function checkLearning({ learnRemotes, remotes, allowedSources }: Input, path: string, { problems }: Scope): void {
  if (!learnRemotes && remotes.length === 0) {
    problems.push({ path: `${path}.remotes`, message: 'empty; without learnRemotes there must be one at least' })
  }
  if (!learnRemotes && allowedSources.length > 0) {
    problems.push({ path: `${path}.allowedSources`, message: 'only with learnRemotes' })
  }
  if (learnRemotes && allowedSources.length === 0) {
    const message = 'empty; learnRemotes needs the addresses that may become remotes'
    problems.push({ path: `${path}.allowedSources`, message })
  }
}
