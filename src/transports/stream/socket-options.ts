/** What a stream socket is set to before frames cross it. */
import type { Layout } from '../../os/layout.js'
import { isInternet, setKeepAlive, setNoDelay } from '../../os/stream-socket.js'
import { sizeSocketBuffers } from '../../os/unix-socket.js'
import type { SocketOptions } from './options.js'

export function prepareSocket(layout: Layout, fd: number, { bufferBytes, keepAliveSeconds }: SocketOptions): void {
  if (bufferBytes > 0) sizeSocketBuffers(layout, fd, bufferBytes, bufferBytes)
  if (!isInternet(layout, fd)) return
  setNoDelay(layout, fd)
  if (keepAliveSeconds > 0) setKeepAlive(layout, fd, keepAliveSeconds)
}
