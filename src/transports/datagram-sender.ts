/**
 * Sends runs of frames as datagrams, from where they lie in the pool. One for each data plane: it holds two message
 * vectors, one for sockets that are connected to their peer and one with an address in each header.
 */
import type { FramePool } from '../dataplane/frame-pool.js'
import { BATCH } from '../dataplane/receive-batch.js'
import { MessageVector } from '../os/message-vector.js'
import type { NativeMemory } from '../os/native-memory.js'
import type { Os } from '../os/os.js'

export class DatagramSender {
  readonly #os: Os
  readonly #pool: FramePool
  readonly #connected: MessageVector
  readonly #addressed: MessageVector
  /** Whose address the first `#addressedCount` headers hold. */
  #addressee: NativeMemory | null = null
  #addressedCount = 0

  constructor(os: Os, pool: FramePool) {
    this.#os = os
    this.#pool = pool
    this.#connected = new MessageVector(os.layout, BATCH, false)
    this.#addressed = new MessageVector(os.layout, BATCH, false)
  }

  /** On a socket connected to its peer. Returns what `Os.sendMessages` returns. */
  send(fd: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const vector = this.#connected
    const { address } = this.#pool
    for (let i = 0; i < count; i++) vector.setBuffer(i, address + offsets[first + i], lengths[first + i])
    return this.#os.sendMessages(fd, vector, count)
  }

  /** To an address, which must stay the same object for the same peer. */
  sendTo(
    fd: number,
    peer: NativeMemory,
    peerLength: number,
    offsets: Int32Array,
    lengths: Int32Array,
    first: number,
    count: number,
  ): number {
    const vector = this.#addressed
    const { address } = this.#pool
    if (this.#addressee !== peer) {
      this.#addressee = peer
      this.#addressedCount = 0
    }
    for (let i = this.#addressedCount; i < count; i++) vector.setName(i, peer.address, peerLength)
    this.#addressedCount = Math.max(this.#addressedCount, count)
    for (let i = 0; i < count; i++) vector.setBuffer(i, address + offsets[first + i], lengths[first + i])
    return this.#os.sendMessages(fd, vector, count)
  }
}
