/**
 * One VM on a shared socket path, and how frames get to it.
 *
 * A peer that is not connected to us (QEMU's dgram netdev) gets a socket of its own, connected to it: that saves the
 * path look-up in each send (a third of the cost) and makes "writable" true. Where no descriptor may be opened for it,
 * it is served by its address through the socket that has the path. A peer that is connected to us (vfkit, libkrun)
 * hears only the socket it connected to, and the kernel says so: connecting to it fails with EPERM. It is served
 * through that socket, by address.
 */
import type { DescriptorShare } from '../../dataplane/descriptor-budget.js'
import { NativeMemory } from '../../os/native-memory.js'
import type { Os } from '../../os/os.js'
import * as unix from '../../os/unix-socket.js'
import { Share, type SharedSocket } from './shared-socket.js'

/**
 * What connecting to a peer told. `addressed`: it is connected to no socket, and there is no descriptor for a socket of
 * its own. `denied`: this user may not write to it.
 */
export type Liveness = 'own' | 'addressed' | 'shared' | 'denied' | 'gone'

/** What reaching a peer takes. */
export interface Reach {
  readonly os: Os
  readonly share: DescriptorShare
  /** An unbound socket that asks each peer in turn, so that asking costs no descriptor. */
  readonly probeFd: number
  readonly sendBufferBytes: number
}

export class Peer {
  readonly address: Uint8Array
  /** The same bytes where the kernel can read them. */
  readonly memory: NativeMemory
  port = -1
  up = false
  /** Connected to the peer; -1 when it is served through the socket of `generation`. */
  ownFd = -1
  /** It is connected to the socket of `generation`, and hears no other. */
  connected = false
  generation = 0
  /** The listening socket it last spoke to: the one of `generation`. */
  listeningFd = -1
  /** The socket of `generation`, while it serves other peers too. */
  shared: SharedSocket | null = null
  readonly share = new Share()
  /** When it went down; the oldest makes place for a new one. */
  downSince = 0

  constructor(address: Uint8Array) {
    this.address = address
    this.memory = new NativeMemory(address.length)
    this.memory.bytes.set(address)
  }

  /**
   * Finds out how the peer is to be served, and whether it lives. A live peer with its own socket is not disturbed; if
   * another socket was bound to the same path meanwhile (a VM that restarted), the own socket is connected to that.
   * `opens`: it may get a socket of its own.
   */
  reach({ os, share, probeFd, sendBufferBytes }: Reach, opens: boolean): Liveness {
    const asking = this.ownFd >= 0 ? this.ownFd : probeFd
    const result = unix.connectUnix(asking, this.address)
    const liveness = livenessOf(os, result)
    this.connected = liveness === 'shared'
    if (liveness !== 'own' || this.ownFd >= 0) return liveness
    if (!opens || !share.take()) return 'addressed'
    const fd = unix.openUnixDatagram(os.layout)
    if (fd < 0 || unix.connectUnix(fd, this.address) < 0) {
      if (fd >= 0) unix.closeSocket(fd)
      share.give()
      return 'addressed'
    }
    unix.sizeSocketBuffers(os.layout, fd, sendBufferBytes, 0)
    this.ownFd = fd
    return 'own'
  }

  /** Closes its own socket, which may be watched until its port is down. */
  release(share: DescriptorShare): void {
    if (this.ownFd < 0) return
    unix.closeSocket(this.ownFd)
    share.give()
    this.ownFd = -1
  }
}

function livenessOf({ layout: { errno } }: Os, result: number): Liveness {
  if (result >= 0) return 'own'
  if (result === -errno.EPERM) return 'shared'
  return result === -errno.EACCES ? 'denied' : 'gone'
}
