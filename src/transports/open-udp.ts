/** Opening a UDP socket for a transport: bound or refused with one sentence, never left half done. */
import { OperatorError } from '../errors.js'
import type { Layout } from '../os/layout.js'
import type { InetAddress } from '../os/sockaddr-in.js'
import { bindUdp, dontFragment, openUdp } from '../os/udp-socket.js'
import { closeSocket, sizeSocketBuffers } from '../os/unix-socket.js'
import { formatInetAddress } from './inet-text.js'
import type { TransportContext } from './transport.js'

/** What a tunnel needs of the control plane. */
export type TunnelContext = Pick<TransportContext, 'os' | 'send' | 'report'>

/**
 * Bytes asked for in both directions: 1800 frames of 1514 bytes as Linux counts them, five milliseconds of what the switch takes
 * in at full speed. Without CAP_NET_ADMIN Linux grants at most net.core.rmem_max and wmem_max.
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
