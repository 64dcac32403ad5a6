/** udp for a multicast group: the main thread's half. */
import { networkInterfaces } from 'node:os'
import type { UdpConfig, UdpGroupConfig } from '../../config/config.js'
import { parseHostPort } from '../../config/inet-address.js'
import type { EndpointSpec } from '../../dataplane/messages.js'
import { OperatorError } from '../../errors.js'
import type { Layout } from '../../os/layout.js'
import { encodeInetAddress, type InetAddress } from '../../os/sockaddr-in.js'
import { admit, type SteeringKey } from '../../os/steering.js'
import * as udp from '../../os/udp-socket.js'
import { closeSocket } from '../../os/unix-socket.js'
import { formatIp, parseIp } from '../../wire/ip-prefix.js'
import { formatInetAddress, literalAddress, scopeOf } from '../inet-text.js'
import { openBoundUdp, SOCKET_BUFFER_BYTES, type TunnelContext, type UdpSocketOptions } from '../open-udp.js'
import { portOptions } from '../port-options.js'
import type { Facts, Transport } from '../transport.js'
import { reportTunnelMtu, type TunnelMtu, tunnelMtu } from '../tunnel-mtu.js'
import { UDP, type UdpGroupOptions } from './options.js'

interface Sockets {
  readonly fd: number
  /** Takes nothing until the data plane says what; -1 where there is no such thing. */
  readonly loudFd: number
  readonly sendFd: number
  readonly group: InetAddress
  readonly own: InetAddress
}

/** Throws OperatorError. */
export async function openUdpGroup(config: UdpGroupConfig, context: TunnelContext): Promise<UdpGroupTransport> {
  const transport = new UdpGroupTransport(config, context, openSockets(config, context.os.layout))
  transport.reportMtu()
  return transport
}

class UdpGroupTransport implements Transport<UdpGroupConfig> {
  config: UdpGroupConfig
  readonly #context: TunnelContext
  readonly #sockets: Sockets
  #closed = false

  constructor(config: UdpGroupConfig, context: TunnelContext, sockets: Sockets) {
    this.config = config
    this.#context = context
    this.#sockets = sockets
  }

  get where(): string {
    return this.config.group
  }

  facts(): Facts {
    const { overhead, path, guest } = this.#mtu()
    const { ttl, loop } = this.config
    const sendingFrom = formatInetAddress(this.#sockets.own)
    return { group: this.config.group, sendingFrom, ttl, loop, overheadBytes: overhead, pathMtu: path, guestMtu: guest }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    const { layout } = this.#context.os
    const { fd, loudFd, sendFd, group, own } = this.#sockets
    const options: UdpGroupOptions = {
      mode: 'group',
      fd,
      loudFd,
      sendFd,
      group: encodeInetAddress(layout, group),
      own: encodeInetAddress(layout, own),
      ...portOptions(this.config.port),
    }
    return { name: this.config.name, kind: UDP, index, options }
  }

  message(): void {
    // The data plane's half has nothing to say but what its port is.
  }

  /** Only the policy of the port can change. */
  canBecome(config: UdpConfig): boolean {
    return JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  update(config: UdpConfig): void {
    if (config.role === 'group') this.config = config
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const { fd, loudFd, sendFd } = this.#sockets
    for (const each of [fd, loudFd, sendFd]) if (each >= 0) closeSocket(each)
  }

  reportMtu(): void {
    reportTunnelMtu(this.#context, this.#mtu())
  }

  #mtu(): TunnelMtu {
    const { own, group } = this.#sockets
    const { layout } = this.#context.os
    // A group has no path of its own; what our address can send is what its interface takes.
    return tunnelMtu(layout, [group], own.ip.length === 4 ? 4 : 6, 0, this.config.port.maxFrameSize)
  }
}

function rigid(config: UdpConfig): unknown {
  const { port, ...rest } = config
  return [rest, port.fdb.static]
}

function openSockets(config: UdpGroupConfig, layout: Layout): Sockets {
  const parsed = parseHostPort(config.group)
  const literal = literalAddress(config.group)
  const index = config.interface === null ? scopeOf(parsed?.zone ?? null) : indexOf(config.interface)
  const isIpv4 = literal.ip.length === 4
  const group = isIpv4 ? literal : { ...literal, scope: index }
  const source = isIpv4 && config.interface !== null ? ipv4Of(config.interface) : sourceTowards(layout, group)
  const by: udp.GroupInterface = { ipv4: isIpv4 ? source.ip : null, index }
  const { fragment, ttl, loop } = config
  const options = { fragment, sendBytes: SOCKET_BUFFER_BYTES, receiveBytes: SOCKET_BUFFER_BYTES }
  const fd = openBoundUdp(layout, group, { ...options, prepare: socket => udp.shareAddress(layout, socket) })
  let [loudFd, sendFd] = [-1, -1]
  try {
    must(
      udp.joinGroup(layout, fd, group.ip, by),
      `${formatIp(group.ip)} cannot be joined on ${config.interface ?? formatIp(source.ip)}`,
    )
    loudFd = openLoud(layout, group, by, options)
    sendFd = openBoundUdp(layout, source, { ...options, receiveBytes: 0 })
    const sending = udp.sendToGroups(layout, sendFd, isIpv4 ? 4 : 6, { by, ttl, loop })
    must(sending, `nothing can be sent to ${formatIp(group.ip)} from ${formatIp(source.ip)}`)
    const own = udp.localAddress(layout, sendFd)
    if (own === undefined) throw new OperatorError(`the address of the socket that sends to ${config.group} is unknown`)
    return { fd, loudFd, sendFd, group, own }
  } catch (error) {
    for (const each of [fd, loudFd, sendFd]) if (each >= 0) closeSocket(each)
    throw error
  }
}

/** Another member of the group, which takes nothing yet; -1 where the system has no programs for that. */
function openLoud(layout: Layout, group: InetAddress, by: udp.GroupInterface, options: UdpSocketOptions): number {
  if (layout.inet.SO_ATTACH_FILTER === null) return -1
  const key: SteeringKey = { family: group.ip.length === 4 ? 4 : 6, kind: 'address-and-port', seed: 0 }
  const prepare = (fd: number) => {
    const shared = udp.shareAddress(layout, fd)
    return shared < 0 ? shared : admit(layout, fd, key, 'only', [])
  }
  const fd = openBoundUdp(layout, group, { ...options, sendBytes: 0, prepare })
  if (udp.joinGroup(layout, fd, group.ip, by) >= 0) return fd
  closeSocket(fd)
  return -1
}

/** The address we would send from, with port 0. */
function sourceTowards(layout: Layout, group: InetAddress): InetAddress {
  const fd = udp.openUdp(layout, group.ip.length === 4 ? 4 : 6)
  const isConnected = fd >= 0 && udp.connectUdp(layout, fd, group) >= 0
  const source = isConnected ? udp.localAddress(layout, fd) : undefined
  if (fd >= 0) closeSocket(fd)
  if (source === undefined) {
    throw new OperatorError(`there is no way to ${formatIp(group.ip)}: name an interface, or add a route`)
  }
  return { ...source, port: 0 }
}

/** `text` is an address, or the name of an interface that has one. */
function ipv4Of(text: string): InetAddress {
  const given = parseIp(text)
  if (given?.length === 4) return { ip: given, port: 0, scope: 0 }
  const found = (networkInterfaces()[text] ?? []).find(({ family }) => family === 'IPv4')
  if (found === undefined) throw new OperatorError(`there is no interface "${text}" with an IPv4 address`)
  return { ip: parseIp(found.address) as Uint8Array, port: 0, scope: 0 }
}

/** Number of an interface; needed for IPv6 only. */
function indexOf(text: string): number {
  return parseIp(text) === undefined ? scopeOf(text) : 0
}

function must(result: number, sentence: string): void {
  if (result < 0) throw new OperatorError(`${sentence} (errno ${-result})`)
}
