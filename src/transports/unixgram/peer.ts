/**
 * One VM on a shared socket path, and how frames get to it.
 *
 * A peer that is not connected to us (QEMU's dgram netdev) gets a socket of its own, connected to it: that saves the path
 * look-up in each send (a third of the cost) and makes "writable" true. A peer that is connected to us (vfkit, libkrun) hears only
 * the socket it connected to, and the kernel says so: connecting to it fails with EPERM. It is served through that socket, by
 * address.
 */
import { NativeMemory } from '../../os/native-memory.js'
import type { Os } from '../../os/os.js'
import * as unix from '../../os/unix-socket.js'

/** What probing a peer told. */
export type Liveness = 'own' | 'shared' | 'gone'

export class Peer {
  readonly address: Uint8Array
  /** The same bytes where the kernel can read them. */
  readonly memory: NativeMemory
  port = -1
  up = false
  /** Connected to the peer; -1 when it is served through the socket of `generation`. */
  ownFd = -1
  generation = 0
  /** The listening socket it last spoke to: the one of `generation`. */
  listeningFd = -1
  /** When it went down; the oldest makes place for a new one. */
  downSince = 0

  constructor(address: Uint8Array) {
    this.address = address
    this.memory = new NativeMemory(address.length)
    this.memory.bytes.set(address)
  }

  /**
   * Finds out how the peer is to be served, and whether it lives. A live peer with its own socket is not disturbed; if another
   * socket was bound to the same path meanwhile (a VM that restarted), the own socket is connected to that.
   */
  reach(os: Os, sendBufferBytes: number): Liveness {
    const { errno } = os.layout
    const fd = this.ownFd >= 0 ? this.ownFd : unix.openUnixDatagram(os.layout)
    // Out of descriptors: the shared socket still works for a peer that is not connected elsewhere.
    if (fd < 0) return 'shared'
    const result = unix.connectUnix(fd, this.address)
    if (result >= 0) {
      if (this.ownFd < 0) unix.sizeSocketBuffers(os.layout, fd, sendBufferBytes, 0)
      this.ownFd = fd
      return 'own'
    }
    // The peer's own socket may still be watched; it is closed by `release`, after the port went down.
    if (fd !== this.ownFd) unix.closeSocket(fd)
    return result === -errno.EPERM ? 'shared' : 'gone'
  }

  release(): void {
    if (this.ownFd >= 0) unix.closeSocket(this.ownFd)
    this.ownFd = -1
  }
}
