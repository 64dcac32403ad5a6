/** Opening a UDP socket for a transport: bound or refused with one sentence, never left half done. */
import { OperatorError } from '../errors.js'
import type { Layout } from '../os/layout.js'
import type { InetAddress } from '../os/sockaddr-in.js'
import { type SourceKind, steer } from '../os/steering.js'
import { bindUdp, dontFragment, localAddress, openUdp, sharePort } from '../os/udp-socket.js'
import { closeSocket, sizeSocketBuffers } from '../os/unix-socket.js'
import { formatInetAddress } from './inet-text.js'
import type { TransportContext } from './transport.js'

/** What a tunnel needs of the control plane. */
export type TunnelContext = Pick<TransportContext, 'os' | 'send' | 'report'>

/**
 * Bytes asked for in both directions: 1800 frames of 1514 bytes as Linux counts them, five milliseconds of what the
 * switch takes in at full speed. Without CAP_NET_ADMIN Linux grants at most net.core.rmem_max and wmem_max.
 */
export const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024

export interface UdpSocketOptions {
  readonly fragment: boolean
  readonly sendBytes: number
  readonly receiveBytes: number
  /** Called before the socket is bound. Returns a negated error number to refuse. */
  readonly prepare?: (fd: number) => number
}

/** Throws OperatorError. */
export function openBoundUdp(layout: Layout, address: InetAddress, options: UdpSocketOptions): number {
  const family = address.ip.length === 4 ? 4 : 6
  const fd = openUdp(layout, family)
  if (fd < 0) throw new OperatorError(`no UDP socket for IPv${family} can be made (errno ${-fd})`)
  const result = [
    () => dontFragment(layout, fd, family, !options.fragment),
    () => options.prepare?.(fd) ?? 0,
    () => bindUdp(layout, fd, address),
  ].reduce((before, step) => (before < 0 ? before : step()), 0)
  if (result < 0) {
    closeSocket(fd)
    throw new OperatorError(`${formatInetAddress(address)} ${refusal(layout, -result)}`)
  }
  sizeSocketBuffers(layout, fd, options.sendBytes, options.receiveBytes)
  return fd
}

/** Sockets beside the first one, where there may be many peers; a listener holds so many descriptors more. */
export const MAX_LANES = 16

/**
 * More sockets on the address of this one, for receiving (receive-lanes.ts); all are closed by the caller. Empty where
 * the system has no such thing, or does not give them: one socket serves, too.
 *
 * The first one was bound alone, so that an address that is in use was refused. What else has this user's rights may
 * share the address from now on; it could as well stop the switch.
 */
export function openLanes(
  layout: Layout,
  fd: number,
  kind: SourceKind,
  options: UdpSocketOptions,
  count: number,
): number[] {
  const address = localAddress(layout, fd)
  if (layout.inet.SO_ATTACH_REUSEPORT_CBPF === null || address === undefined) return []
  const lanes: number[] = []
  try {
    sharePort(layout, fd, true)
    const prepare = (lane: number) => sharePort(layout, lane, true)
    for (let i = 0; i < count; i++) lanes.push(openBoundUdp(layout, address, { ...options, sendBytes: 0, prepare }))
    const result = steer(layout, fd, { family: address.ip.length === 4 ? 4 : 6, kind, seed: 0 }, [])
    if (result >= 0) return lanes
  } catch {
    // No descriptors, for example.
  }
  for (const lane of lanes) closeSocket(lane)
  sharePort(layout, fd, false)
  return []
}

function refusal({ errno }: Layout, number: number): string {
  switch (number) {
    case errno.EADDRINUSE:
      return 'is in use by another socket'
    case errno.EADDRNOTAVAIL:
      return 'is not an address of this machine'
    case errno.EACCES:
    case errno.EPERM:
      return 'may not be used by this user'
    default:
      return `cannot be used (errno ${number})`
  }
}
