/** Options of the `unixgram` transport: frames as datagrams on unix sockets (QEMU's dgram netdev, vfkit, libkrun). */
import { z } from 'zod'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { account, allow, fileMode, group, name, oneOf, socketPath, wholeNumber } from '../fields.js'
import { portPolicyOfMany, portPolicyOfOne } from '../port-schema.js'
import { resolveOwnership, resolvePort, type Scope } from '../scope.js'

const common = {
  name: name().describe(
    'Name of the transport, and of its port; with many peers the ports are `<name>:1`, `<name>:2` ...',
  ),
  type: z.literal('unixgram').describe('Frames as datagrams on unix sockets.'),
}

const socketFile = {
  permissions: fileMode().default('0600').describe('Mode of the socket file. A peer must be able to write to it.'),
  owner: account('user').optional().describe('Owner of the socket file. Default: who runs the switch.'),
  group: account('group').optional().describe('Group of the socket file. Default: that of who runs the switch.'),
}

const listening = {
  ...common,
  listen: socketPath().describe('Socket file that peers send to; relative paths start in `runtimeDir`.'),
  ...socketFile,
}

const peersIs = <Peers extends 'many' | 'one'>(peers: Peers) => allow('one of "many", "one"', z.literal(peers))
const onlyWithConnect = { connect: 'not together with listen', handshake: 'only with connect' }
const onlyWithListen = { listen: 'not together with connect', peers: 'only with listen', maxPeers: 'only with listen' }

const listenMany = group(
  {
    ...listening,
    peers: peersIs('many').default('many').describe('`many`: every bound address that sends gets a port of its own.'),
    maxPeers: wholeNumber(1, 1000).default(64).describe('Peers that may have a port at the same time.'),
    port: portPolicyOfMany.prefault({}).describe('Policy of every port of this transport.'),
  },
  onlyWithConnect,
)

const listenOne = group(
  {
    ...listening,
    peers: peersIs('one').describe(
      '`one`: one port for one peer, the fastest path; the port is there before the peer is.',
    ),
    port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
  },
  { ...onlyWithConnect, maxPeers: 'only with peers: many' },
)

const connect = group(
  {
    ...common,
    connect: group({
      local: socketPath().describe('Socket file this switch makes; the peer answers to it.'),
      remote: socketPath().describe('Socket file of the peer.'),
    }).describe('Two fixed paths: frames go from `local` to `remote`.'),
    handshake: oneOf(['vfkit'])
      .optional()
      .describe('`vfkit`: send the four bytes VFKT first, as a listener for vfkit expects. Default: nothing is sent.'),
    ...socketFile,
    port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
  },
  onlyWithListen,
)

const forms = [listenMany, listenOne, connect] as const
type Input = z.output<(typeof forms)[number]>

interface Common {
  readonly type: 'unixgram'
  readonly name: string
  readonly port: PortPolicyConfig
  /** Mode of the socket file this switch makes, e.g. 0o600. */
  readonly permissions: number
  /** Numeric; null leaves what the process has. */
  readonly owner: number | null
  readonly group: number | null
}

export interface UnixgramListenConfig extends Common {
  readonly role: 'listen'
  /** Absolute path. */
  readonly listen: string
  readonly peers: 'many' | 'one'
  /** 1 where `peers` is `one`. */
  readonly maxPeers: number
}

export interface UnixgramConnectConfig extends Common {
  readonly role: 'connect'
  /** Absolute paths. */
  readonly connect: { readonly local: string; readonly remote: string }
  /** `vfkit`: the four bytes VFKT are sent first. */
  readonly handshake: 'vfkit' | null
}

export type UnixgramConfig = UnixgramListenConfig | UnixgramConnectConfig

export const unixgram: AttachmentType<typeof forms, UnixgramConfig> = {
  forms,
  resolve,
  effective,
  fixedPorts,
  claims: config => [config.role === 'listen' ? config.listen : config.connect.local],
}

function resolve(input: Input, path: string, scope: Scope): UnixgramConfig {
  const common = {
    type: input.type,
    name: input.name,
    permissions: Number.parseInt(input.permissions, 8),
    ...resolveOwnership(input, path, scope),
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

function effective(config: UnixgramConfig): Record<string, unknown> {
  const { role: _role, permissions, owner, group, port, ...rest } = config
  const { maxPeers, handshake, ...shape } = rest as Record<string, unknown>
  const isOne = fixedPorts(config) === 1
  return {
    ...shape,
    ...(isOne ? {} : { maxPeers }),
    ...(typeof handshake === 'string' ? { handshake } : {}),
    permissions: permissions.toString(8).padStart(4, '0'),
    ...(owner === null ? {} : { owner }),
    ...(group === null ? {} : { group }),
    port: isOne ? port : { ...port, fdb: { maxEntries: port.fdb.maxEntries } },
  }
}

function fixedPorts(config: UnixgramConfig): number {
  return config.role === 'connect' || config.peers === 'one' ? 1 : 0
}
