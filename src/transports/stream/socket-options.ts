/** What a stream socket is set to before frames cross it, and who is at its other end. */
import type { Layout } from '../../os/layout.js'
import { isInternet, peerAddress, peerProcess, setKeepAlive, setNoDelay } from '../../os/stream-socket.js'
import { sizeSocketBuffers } from '../../os/unix-socket.js'
import { formatIp } from '../../wire/ip-prefix.js'
import type { SocketOptions } from './options.js'

export function prepareSocket(layout: Layout, fd: number, { bufferBytes, keepAliveSeconds }: SocketOptions): void {
  if (bufferBytes > 0) sizeSocketBuffers(layout, fd, bufferBytes, bufferBytes)
  if (!isInternet(layout, fd)) return
  setNoDelay(fd)
  if (keepAliveSeconds > 0) setKeepAlive(layout, fd, keepAliveSeconds)
}

/** For people: an address, or on Linux the process; null where nobody can say. */
export function peerLabel(layout: Layout, fd: number): string | null {
  const address = peerAddress(layout, fd)
  if (address !== undefined) {
    const host = formatIp(address.ip)
    return address.ip.length === 4 ? `${host}:${address.port}` : `[${host}]:${address.port}`
  }
  const process = peerProcess(layout, fd)
  return process === undefined ? null : `pid ${process}`
}
