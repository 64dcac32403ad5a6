/**
 * Options of the `stream` transport: frames behind their lengths on unix and TCP sockets (QEMU's stream and socket
 * netdevs, passt, libkrun, gvproxy).
 */
import { z } from 'zod'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { account, allow, fileMode, flag, group, name, oneOf, wholeNumber } from '../fields.js'
import { isLoopback } from '../http-listen.js'
import { valueText } from '../messages.js'
import { portPolicyOfMany, portPolicyOfOne } from '../port-schema.js'
import { resolveOwnership, resolvePort, type Scope } from '../scope.js'
import { formatTcp, listenAddress, parseStreamAddress, remoteAddress } from '../stream-address.js'

const common = {
  name: name().describe(
    'Name of the transport, and of its port; with many peers the ports are `<name>:1`, `<name>:2` ...',
  ),
  type: z.literal('stream').describe('Frames behind their lengths on unix and TCP sockets.'),
  framing: oneOf(['qemu', 'hyperkit'])
    .default('qemu')
    .describe(
      'Length in front of each frame: `qemu` 4 bytes, big-endian (QEMU, passt, libkrun, socket_vmnet); `hyperkit` 2 bytes, little-endian (hyperkit, gvproxy on stdio).',
    ),
  keepAliveSeconds: wholeNumber(0, 7200)
    .default(15)
    .describe(
      'A TCP peer that is silent for so long is asked whether it lives; gone after as long again. 0: never asked.',
    ),
}

const socketFile = {
  permissions: fileMode().default('0600').describe('Mode of the socket file, where `listen` is a path.'),
  owner: account('user').optional().describe('Owner of the socket file. Default: who runs the switch.'),
  group: account('group').optional().describe('Group of the socket file. Default: that of who runs the switch.'),
}

const listening = {
  ...common,
  listen: listenAddress().describe(
    'Where peers connect to: a path (relative ones start in `runtimeDir`), `host:port`, `[v6]:port`, or `systemd:NAME` for a socket that systemd made.',
  ),
  allowRemote: flag()
    .default(false)
    .describe(
      'Allows a `host:port` that is not loopback. Whoever can connect there is on the network: there is no authentication.',
    ),
  ...socketFile,
}

const peersIs = <Peers extends 'many' | 'one'>(peers: Peers) => allow('one of "many", "one"', z.literal(peers))
const onlyWithConnect = { connect: 'not together with listen' }
const onlyWithListen = {
  listen: 'not together with connect',
  peers: 'only with listen',
  maxPeers: 'only with listen',
  allowRemote: 'only with listen',
  permissions: 'only with listen',
  owner: 'only with listen',
  group: 'only with listen',
}

const listenMany = group(
  {
    ...listening,
    peers: peersIs('many').default('many').describe('`many`: every connection gets a port of its own.'),
    maxPeers: wholeNumber(1, 1000).default(64).describe('Connections at the same time; further ones are closed.'),
    port: portPolicyOfMany.prefault({}).describe('Policy of every port of this transport.'),
  },
  onlyWithConnect,
)

const listenOne = group(
  {
    ...listening,
    peers: peersIs('one').describe('`one`: one port, there before its peer is, and the same for the next peer.'),
    port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
  },
  { ...onlyWithConnect, maxPeers: 'only with peers: many' },
)

const connect = group(
  {
    ...common,
    connect: remoteAddress().describe('Where to connect to, again and again until it succeeds: a path or `host:port`.'),
    port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
  },
  onlyWithListen,
)

const forms = [listenMany, listenOne, connect] as const
type Input = z.output<(typeof forms)[number]>

interface Common {
  readonly type: 'stream'
  readonly name: string
  readonly port: PortPolicyConfig
  readonly framing: 'qemu' | 'hyperkit'
  readonly keepAliveSeconds: number
}

export interface StreamListenConfig extends Common {
  readonly role: 'listen'
  /** Absolute path, `host:port`, or `systemd:NAME`. */
  readonly listen: string
  readonly peers: 'many' | 'one'
  /** 1 where `peers` is `one`. */
  readonly maxPeers: number
  readonly allowRemote: boolean
  readonly permissions: number
  /** Numeric; null leaves what the process has. */
  readonly owner: number | null
  readonly group: number | null
}

export interface StreamConnectConfig extends Common {
  readonly role: 'connect'
  /** Absolute path, or `host:port`. */
  readonly connect: string
}

export type StreamConfig = StreamListenConfig | StreamConnectConfig

export const stream: AttachmentType<typeof forms, StreamConfig> = { forms, resolve, effective, fixedPorts, claims }

function resolve(input: Input, path: string, scope: Scope): StreamConfig {
  const common = {
    type: input.type,
    name: input.name,
    framing: input.framing,
    keepAliveSeconds: input.keepAliveSeconds,
    port: resolvePort(input.port, `${path}.port`, scope),
  }
  if ('connect' in input) {
    const address = parseStreamAddress(input.connect)
    const remote = address?.type === 'unix' ? scope.paths.remote(address.path, `${path}.connect`) : input.connect
    return { ...common, role: 'connect', connect: remote }
  }
  const address = parseStreamAddress(input.listen)
  if (address?.type === 'tcp' && !isLoopback(address.host) && !input.allowRemote) {
    const message = `${valueText(input.listen)} is not on loopback (127.0.0.1, [::1], localhost); whoever can connect there is on the network, so it must be allowed with allowRemote: true`
    scope.problems.push({ path: `${path}.listen`, message })
  }
  return {
    ...common,
    role: 'listen',
    listen: address?.type === 'unix' ? scope.paths.own(address.path, `${path}.listen`) : input.listen,
    peers: input.peers,
    maxPeers: input.peers === 'many' ? input.maxPeers : 1,
    allowRemote: input.allowRemote,
    permissions: Number.parseInt(input.permissions, 8),
    ...resolveOwnership(input, path, scope),
  }
}

function effective(config: StreamConfig): Record<string, unknown> {
  const { role: _role, port, ...shape } = config
  const isOne = fixedPorts(config) === 1
  const policy = isOne ? port : { ...port, fdb: { maxEntries: port.fdb.maxEntries } }
  if (config.role === 'connect') return { ...shape, port: policy }
  const { maxPeers, permissions, owner, group, ...rest } = shape as Omit<StreamListenConfig, 'role' | 'port'>
  return {
    ...rest,
    ...(isOne ? {} : { maxPeers }),
    permissions: permissions.toString(8).padStart(4, '0'),
    ...(owner === null ? {} : { owner }),
    ...(group === null ? {} : { group }),
    port: policy,
  }
}

function fixedPorts(config: StreamConfig): number {
  return config.role === 'connect' || config.peers === 'one' ? 1 : 0
}

function claims(config: StreamConfig): readonly string[] {
  if (config.role === 'connect') return []
  const address = parseStreamAddress(config.listen)
  if (address?.type === 'tcp') return address.port === 0 ? [] : [`tcp:${formatTcp(address.host, address.port)}`]
  return [config.listen]
}
