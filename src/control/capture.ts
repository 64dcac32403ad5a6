/**
 * One capture: a stream of pcapng that somebody reads. The data plane copies frames into a socket; here they become blocks of the file, at the
 * pace of the reader. While the reader is slow, the socket is not read, the data plane's buffer fills, and what does not fit is counted: the
 * last blocks of the file say how much that was.
 *
 * A capture ends when its time or its bytes are used up, when its reader leaves, and with the switch. When the data plane is replaced it goes on
 * with the next one; what was on its way is lost with the old one.
 */
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { IN, RecordReader } from '../dataplane/capture-record.js'
import type { CaptureCount, CaptureSpec } from '../dataplane/captures.js'
import { Direction, interfaceBlock, packetBlock, sectionBlock, statisticsBlock } from './pcapng.js'

export interface CaptureOptions {
  /** Null: every port. */
  readonly portId: number | null
  /** Bytes kept of each frame. */
  readonly snapLength: number
  /** In the words of wire/filter.ts; empty: everything. */
  readonly filter: string
  readonly seconds: number
  /** Bytes of the file, give or take a block. */
  readonly maxBytes: number
}

export interface CaptureParts {
  readonly id: number
  readonly options: CaptureOptions
  /** Both ends of a socket pair that does not block; they become the capture's. */
  readonly ends: readonly [ours: number, theirs: number]
  readonly closeDescriptor: (fd: number) => void
  /** Tells the data plane. */
  readonly start: (spec: CaptureSpec) => Promise<void>
  /** Null when the data plane did not let go of its end. */
  readonly stop: (id: number) => Promise<CaptureCount[] | null>
  readonly portName: (id: number) => { name: string; kind: string }
  /** Milliseconds on the clock all threads share. */
  readonly clock: () => number
  readonly application: string
}

/** Milliseconds for what is on its way when the capture ends. */
const DRAIN_MS = 5000

export class Capture {
  /** The file. Destroying it ends the capture. */
  readonly file: Readable
  /** Resolves when nothing is left of it. */
  readonly ended: Promise<void>
  readonly #parts: CaptureParts
  readonly #socket: Socket
  readonly #reader = new RecordReader()
  /** Places of the ports in the file. */
  readonly #interfaces = new Map<number, number>()
  /** Nanoseconds since 1970 at zero of the shared clock. */
  readonly #epoch: bigint
  readonly #startedAt: bigint
  readonly #timer: NodeJS.Timeout
  #bytes = 0
  #stopping: Promise<void> | null = null
  #setEnded: () => void = () => {}

  constructor(parts: CaptureParts) {
    this.#parts = parts
    this.#epoch = BigInt(Date.now()) * 1_000_000n - nanoseconds(parts.clock())
    this.#startedAt = this.#timeOf(parts.clock())
    this.ended = new Promise(resolve => {
      this.#setEnded = resolve
    })
    this.#socket = new Socket({ fd: parts.ends[0], readable: true, writable: false })
    this.file = new Readable({
      highWaterMark: 1024 * 1024,
      read: () => this.#socket.resume(),
      destroy: (_error, callback) => {
        void this.stop()
        callback(null)
      },
    })
    this.#socket.on('data', chunk => this.#convert(chunk as Buffer))
    this.#socket.on('error', () => {})
    this.#push(sectionBlock(parts.application))
    const { portId } = parts.options
    if (portId !== null) this.#interfaceOf(portId)
    this.#timer = setTimeout(() => void this.stop(), parts.options.seconds * 1000)
  }

  /** Makes the data plane copy frames; again after it was replaced. */
  async start(): Promise<void> {
    if (this.#stopping !== null) return
    const { id, options, ends, start } = this.#parts
    const { portId, snapLength, filter } = options
    await start({ id, fd: ends[1], portId, snapLength, filter })
  }

  get id(): number {
    return this.#parts.id
  }

  get options(): CaptureOptions {
    return this.#parts.options
  }

  /** Of the file, so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** Milliseconds since 1970. */
  get startedAt(): number {
    return Number(this.#startedAt / 1_000_000n)
  }

  /** Idempotent. Resolves when the file has its end. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer)
    const counts = await this.#parts.stop(this.#parts.id)
    const drained = new Promise<void>(resolve => this.#socket.once('close', () => resolve()))
    const patience = setTimeout(() => this.#socket.destroy(), DRAIN_MS)
    // What was written is read to its end, however slow the reader is: it is no more than a socket holds.
    if (counts !== null) this.#parts.closeDescriptor(this.#parts.ends[1])
    if (counts === null || this.file.destroyed) this.#socket.destroy()
    else this.#socket.resume()
    await drained
    clearTimeout(patience)
    this.#finish(counts ?? [])
    this.#setEnded()
  }

  #finish(counts: readonly CaptureCount[]): void {
    if (this.file.destroyed) return
    const end = this.#timeOf(this.#parts.clock())
    for (const { portId, seen, accepted, missed } of counts) {
      const interfaceId = this.#interfaceOf(portId)
      this.#push(
        statisticsBlock({ interfaceId, start: this.#startedAt, end, received: seen, accepted, dropped: missed }),
      )
    }
    this.file.push(null)
  }

  #convert(chunk: Buffer): void {
    const blocks: Buffer[] = []
    for (const { portId, time, direction, length, bytes, dropReason } of this.#reader.read(chunk)) {
      const interfaceId = this.#interfaceOf(portId)
      blocks.push(
        packetBlock({
          interfaceId,
          time: this.#timeOf(time),
          direction: direction === IN ? Direction.in : Direction.out,
          originalLength: length,
          bytes,
          comment: dropReason === null ? undefined : `dropped: ${dropReason}`,
        }),
      )
    }
    if (blocks.length > 0) this.#push(Buffer.concat(blocks))
    if (this.#bytes >= this.#parts.options.maxBytes) void this.stop()
  }

  /** Its place in the file; the first frame of a port brings it in. */
  #interfaceOf(portId: number): number {
    const known = this.#interfaces.get(portId)
    if (known !== undefined) return known
    const place = this.#interfaces.size
    this.#interfaces.set(portId, place)
    const { name, kind } = this.#parts.portName(portId)
    this.#push(interfaceBlock(name, kind, this.#parts.options.snapLength))
    return place
  }

  #push(bytes: Buffer): void {
    if (this.file.destroyed) return
    this.#bytes += bytes.length
    if (!this.file.push(bytes) && this.#stopping === null) this.#socket.pause()
  }

  #timeOf(milliseconds: number): bigint {
    return this.#epoch + nanoseconds(milliseconds)
  }
}

function nanoseconds(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1000)) * 1000n
}
