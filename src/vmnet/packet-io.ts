/**
 * Frames in and out of an interface for those who use it without a switch: with buffers of its own, copied on the way.
 */
import { NativeMemory } from '../os/native-memory.js'
import { bindPacketCalls } from './library.js'
import { PacketVector } from './packet-vector.js'
import { batchLimit } from './parameters.js'
import { check, Status } from './status.js'

export class PacketIo {
  readonly #calls: ReturnType<typeof bindPacketCalls>
  readonly #reference: number
  readonly #size: number
  readonly #readLimit: number
  readonly #writeLimit: number
  #read: { vector: PacketVector; memory: NativeMemory } | null = null
  #write: { vector: PacketVector; memory: NativeMemory } | null = null

  constructor(
    library: string,
    reference: number,
    limits: { maxPacketSize: number; readMaxPackets: number; writeMaxPackets: number },
  ) {
    this.#calls = bindPacketCalls(library)
    this.#reference = reference
    this.#size = limits.maxPacketSize
    this.#readLimit = batchLimit(limits.readMaxPackets, limits.maxPacketSize)
    this.#writeLimit = batchLimit(limits.writeMaxPackets, limits.maxPacketSize)
  }

  read(): Uint8Array[] {
    this.#read ??= this.#buffers(this.#readLimit)
    const { vector, memory } = this.#read
    for (let i = 0; i < this.#readLimit; i++) vector.set(i, memory.address + i * this.#size, this.#size)
    vector.count = this.#readLimit
    const status = this.#calls.read(this.#reference, vector.address, vector.countAddress)
    if (status === Status.BUFFER_EXHAUSTED) return []
    check('read', status)
    return Array.from({ length: vector.count }, (_, i) => {
      const at = i * this.#size
      return memory.bytes.slice(at, at + vector.length(i))
    })
  }

  write(frames: readonly Uint8Array[]): number {
    this.#write ??= this.#buffers(this.#writeLimit)
    const { vector, memory } = this.#write
    let done = 0
    while (done < frames.length) {
      const count = Math.min(this.#writeLimit, frames.length - done)
      for (let i = 0; i < count; i++) {
        const frame = frames[done + i]
        memory.bytes.set(frame, i * this.#size)
        vector.set(i, memory.address + i * this.#size, frame.length)
      }
      vector.count = count
      const status = this.#calls.write(this.#reference, vector.address, vector.countAddress)
      if (status === Status.BUFFER_EXHAUSTED) return done
      check('write', status)
      done += vector.count
      if (vector.count < count) return done
    }
    return done
  }

  #buffers(count: number): { vector: PacketVector; memory: NativeMemory } {
    return { vector: new PacketVector(count), memory: new NativeMemory(count * this.#size) }
  }
}
