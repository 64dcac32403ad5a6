/**
 * One VM on one socket path, or one remote we connect to: the data plane's half.
 *
 * The socket itself is connected to its peer. That is the fastest way there is: no address to look up in either
 * direction, no limit on queued datagrams between two sockets connected to each other, and writability that tells the
 * truth. Its price is that a connected socket refuses everybody else, the peer's successor too, and that nothing tells
 * when the peer has died. So the peer is probed once a second by connecting again, which on a living peer does nothing;
 * and when a client that connected to us takes the socket, a new one takes its place at the path (see many-peers.ts),
 * where its successor finds it at once.
 *
 * States, listening:  waiting --first datagram: connect--> serving --probe or send fails: dissolve--> waiting
 * States, connecting: waiting --remote is there: connect--> serving --send or probe fails: dissolve--> waiting
 */
import { type Endpoint, type EndpointHost, type EndpointPort, Fault } from '../../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import type { ReceiveBatch } from '../../dataplane/receive-batch.js'
import type { EndpointDropReason } from '../../dataplane/shared-memory.js'
import { decodeUnixAddress } from '../../os/sockaddr-un.js'
import * as unix from '../../os/unix-socket.js'
import { DatagramSender } from '../datagram-sender.js'
import { type SendFault, unixFaults } from '../send-fault.js'
import { fileIdentity } from '../socket-file.js'
import {
  isHandshake,
  type OnePeerOptions,
  type PeerRestore,
  UNIXGRAM,
  type UnixgramDowncall,
  type UnixgramSocket,
  type UnixgramUpcall,
} from './options.js'
import { isResolvable, Refusals } from './refusals.js'

interface Serving {
  readonly socket: UnixgramSocket
  readonly address: Uint8Array
  /** Another socket has taken the path, or is about to. */
  handedOver: boolean
  /** The remote's socket file, as `fileIdentity` tells it; undefined when listening. */
  readonly file: string | undefined
}

export class OnePeerEndpoint implements Endpoint {
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: OnePeerOptions
  readonly #sender: DatagramSender
  readonly #faultOf: SendFault
  readonly #refusals: Refusals
  #port = -1
  /** The socket bound to the path; null between a handover and its answer. */
  #listening: UnixgramSocket | null = null
  #serving: Serving | null = null
  /** False until what strangers had queued before the socket was connected has been read. */
  #drained = false

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as OnePeerOptions
    this.#sender = new DatagramSender(host.os, host.pool)
    this.#faultOf = unixFaults(host.os.layout)
    this.#refusals = new Refusals(host, spec.name, spec.index)
  }

  open(): void {
    const { sockets } = this.#options
    this.#listening = sockets[sockets.length - 1]
    for (const { fd } of sockets) this.#host.watch(this, fd)
    const [restored] = this.#spec.ports
    if (restored === undefined) {
      this.#port = this.#host.needPort(this, this.#describe())
    } else {
      this.#port = restored.index
      this.#host.restorePort(this, this.#describe(), restored.index)
      if (restored.up) this.#takeOver(restored.restore as PeerRestore)
    }
    if (this.#serving === null) this.#callRemote()
  }

  receive(fd: number, batch: ReceiveBatch): number {
    // Connected, and nothing of strangers is left: it can only be our peer's, and the kernel need not say so.
    const settled = this.#drained && this.#serving?.socket.fd === fd
    const vector = settled ? batch.nameless : batch.vector
    const count = this.#host.os.receiveMessages(fd, vector, batch.length.length)
    if (count <= 0) return 0
    for (let i = 0; i < count; i++) {
      const length = vector.length(i)
      batch.length[i] = length
      const ours = settled || this.#accept(fd, vector.name(i))
      batch.port[i] = !ours || this.#swallow(batch, i) ? -1 : this.#port
    }
    if (count < batch.length.length && this.#serving?.socket.fd === fd) this.#drained = true
    if (!settled) vector.resetNames(count)
    return count
  }

  transmit(_port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const fd = (this.#serving as Serving).socket.fd
    return this.#sender.send(fd, offsets, lengths, first, count)
  }

  fault(_port: number, errno: number): Fault {
    const { ECONNREFUSED, ENOTCONN } = this.#host.os.layout.errno
    const serving = this.#serving as Serving
    if (errno === ECONNREFUSED || errno === ENOTCONN) {
      // The VM may have come back on the same path already.
      if (unix.connectUnix(serving.socket.fd, serving.address) >= 0) {
        this.#shakeHands(serving.socket.fd)
        return Fault.retry
      }
    }
    return this.#faultOf(errno)
  }

  gone(): void {
    this.#leave()
  }

  egressDescriptor(): number {
    return this.#host.os.layout.platform === 'darwin' ? -1 : (this.#serving as Serving).socket.fd
  }

  tick(): void {
    if (this.#serving === null) this.#callRemote()
    else if (!this.#alive(this.#serving)) this.#leave()
  }

  message(message: EndpointMessage): void {
    const downcall = message as unknown as UnixgramDowncall
    if (downcall.type !== 'socket') return
    const { socket } = downcall
    this.#listening = socket
    // No new socket could be made, so the path stays with the one it had.
    if (this.#serving?.socket.fd === socket.fd) this.#serving.handedOver = false
    else unix.disconnectUnix(this.#host.os.layout, socket.fd)
    this.#host.watch(this, socket.fd)
  }

  close(): void {
    this.#host.removePort(this.#port)
    if (this.#serving !== null) this.#host.unwatch(this.#serving.socket.fd)
    if (this.#listening !== null) this.#host.unwatch(this.#listening.fd)
  }

  /** Whether a datagram from this sender is our peer's. Makes the sender our peer if we have none. */
  #accept(fd: number, address: Uint8Array): boolean {
    const { remote } = this.#options
    if (remote !== null && !sameAddress(address, remote)) return this.#refuse('stranger', address)
    if (this.#serving !== null) {
      if (sameAddress(address, this.#serving.address) && fd === this.#serving.socket.fd) return true
      if (this.#alive(this.#serving)) return this.#refuse(remote === null ? 'peer-limit' : 'stranger', address)
      this.#leave()
    }
    const socket = this.#listening
    // Left behind by a peer whose socket is on its way to being closed.
    if (socket?.fd !== fd) {
      this.#host.countDrop(this.#spec.index, 'peer-gone')
      return false
    }
    return this.#connect(socket, address)
  }

  #connect(socket: UnixgramSocket, address: Uint8Array): boolean {
    const { layout } = this.#host.os
    const label = decodeUnixAddress(layout, address)
    if (label === undefined) return this.#refuse('unbound', address)
    if (!isResolvable(layout, address)) return this.#refuse('relative-name', address)
    const file = this.#remoteFile()
    const result = unix.connectUnix(socket.fd, address)
    const { EPERM, EACCES } = layout.errno
    if (result === -EPERM) return this.#refuse('stranger', address)
    if (result < 0) return this.#refuse(result === -EACCES ? 'no-access' : 'peer-gone', address)
    const listening = this.#options.remote === null
    const handedOver = listening && this.#connectedToUs(address)
    this.#serving = { socket, address, handedOver, file }
    this.#drained = false
    if (handedOver) {
      this.#listening = null
      this.#upcall({ type: 'handover', generation: socket.generation })
    }
    this.#shakeHands(socket.fd)
    const restore: PeerRestore = { address, ownFd: -1, connected: handedOver, generation: socket.generation }
    this.#host.portUp(this.#port, { peer: label, restore })
    return true
  }

  #callRemote(): void {
    const { remote } = this.#options
    if (remote === null || this.#listening === null) return
    const { layout } = this.#host.os
    // Asked first: if the remote restarts in between, the next look sees another file, and connects again.
    const file = this.#remoteFile()
    if (unix.connectUnix(this.#listening.fd, remote) < 0) return
    this.#serving = { socket: this.#listening, address: remote, handedOver: false, file }
    this.#drained = false
    this.#shakeHands(this.#listening.fd)
    const { generation } = this.#listening
    const restore: PeerRestore = { address: remote, ownFd: -1, connected: false, generation }
    this.#host.portUp(this.#port, { peer: decodeUnixAddress(layout, remote) ?? null, restore })
  }

  /** Goes on serving the peer that the data plane before this one served. */
  #takeOver({ address, generation }: PeerRestore): void {
    const socket = this.#options.sockets.find(each => each.generation === generation)
    if (socket === undefined) return
    const handedOver = socket !== this.#listening
    this.#serving = { socket, address, handedOver, file: this.#remoteFile() }
    this.#host.portRestored(this.#port)
  }

  #leave(): void {
    const { socket, handedOver } = this.#serving as Serving
    this.#host.portDown(this.#port, { peer: null, restore: null })
    this.#serving = null
    if (handedOver) {
      this.#host.unwatch(socket.fd)
      this.#upcall({ type: 'release', generation: socket.generation })
    } else {
      unix.disconnectUnix(this.#host.os.layout, socket.fd)
    }
  }

  /**
   * Connecting again to a living peer does nothing; if another socket has the path now, ours is connected to that.
   * Towards a remote a fresh socket asks instead, and its file must be the same: a remote that restarted refuses to
   * send to a socket that is still connected to its predecessor, and must be told who we are.
   */
  #alive({ socket, address, file }: Serving): boolean {
    if (this.#options.remote !== null) return this.#remoteFile() === file && this.#ask(address) !== 'gone'
    return unix.connectUnix(socket.fd, address) >= 0
  }

  #remoteFile(): string | undefined {
    const { remote } = this.#options
    return remote === null
      ? undefined
      : fileIdentity(trimmed(remote).subarray(this.#host.os.layout.sockaddrUn.pathOffset))
  }

  #connectedToUs(address: Uint8Array): boolean {
    return this.#ask(address) === 'connected'
  }

  /** What a third party sees of this peer. */
  #ask(address: Uint8Array): 'open' | 'connected' | 'gone' {
    const result = unix.connectUnix(this.#options.probeFd, address)
    if (result >= 0) return 'open'
    return result === -this.#host.os.layout.errno.EPERM ? 'connected' : 'gone'
  }

  #shakeHands(fd: number): void {
    const { handshake } = this.#options
    if (handshake !== null) unix.sendUnix(this.#host.os.layout, fd, handshake)
  }

  #upcall(upcall: UnixgramUpcall): void {
    this.#host.send(this.#spec.name, { ...upcall })
  }

  #refuse(reason: EndpointDropReason, address: Uint8Array): false {
    this.#refusals.refuse(reason, decodeUnixAddress(this.#host.os.layout, address) ?? '')
    return false
  }

  #swallow(batch: ReceiveBatch, i: number): boolean {
    if (!isHandshake(this.#host.pool.bytes, batch.offset[i], batch.length[i])) return false
    this.#host.countDrop(this.#spec.index, 'handshake')
    return true
  }

  #describe(): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name: this.#spec.name, transport: this.#spec.name, kind: UNIXGRAM, policy, staticAddresses }
  }
}

function sameAddress(a: Uint8Array, b: Uint8Array): boolean {
  return trimmed(a).equals(trimmed(b))
}

// A program may or may not count the NUL after its path, or pass the whole structure, as QEMU does.
function trimmed(address: Uint8Array): Buffer {
  const bytes = Buffer.from(address.buffer, address.byteOffset, address.length)
  const end = bytes.indexOf(0, 2)
  return end > 2 ? bytes.subarray(0, end) : bytes
}
