/**
 * One capture: a stream of pcapng for one reader. The data plane copies frames into a socket; the main thread makes
 * blocks of them, at the pace of the reader. While the reader is slow, the socket is not read, the data plane's buffer
 * fills, and what does not fit is counted: the last blocks of the file say how much that was.
 *
 * A capture ends when its time or its bytes are used up, when its reader leaves, and with the switch. When the data
 * plane is replaced the capture goes on with the next one; records on their way are lost with the old one.
 */
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { type PortLabel, RecordReader } from '../dataplane/capture-record.js'
import type { CaptureCount, CaptureSpec } from '../dataplane/capture-session.js'
import type { BpfProgram } from '../wire/bpf.js'
import { CaptureFile } from './capture-file.js'
import { quietBlock } from './pcapng.js'

export interface CaptureOptions {
  /** Null: every port. */
  readonly portId: number | null
  /** Bytes kept of each frame. */
  readonly snapLength: number
  /** In the words of pcap-filter(7); empty: everything. */
  readonly filter: string
  readonly seconds: number
  /** Bytes of the file, give or take a block. */
  readonly maxBytes: number
}

export interface CaptureParts {
  readonly id: number
  readonly options: CaptureOptions
  /** The compiled filter; null: everything. */
  readonly program: BpfProgram | null
  /** Both ends of a socket pair that does not block; they become the capture's. */
  readonly ends: readonly [ours: number, theirs: number]
  readonly closeDescriptor: (fd: number) => void
  /** Tells the data plane. */
  readonly start: (spec: CaptureSpec) => Promise<void>
  /** Null when the data plane did not let go of its end. */
  readonly stop: (id: number) => Promise<CaptureCount[] | null>
  /** What a port is called now; undefined once it is gone. */
  readonly portLabel: (id: number) => PortLabel | undefined
  /** Milliseconds on the clock all threads share. */
  readonly clock: () => number
  readonly application: string
}

/** Milliseconds for what is on its way when the capture ends. */
const DRAIN_MS = 5000
/**
 * Milliseconds without a block after which an empty one is written: proxies close connections that are silent for 60 s.
 */
const QUIET_MS = 15_000

export class Capture {
  /** The file. Destroying it ends the capture. */
  readonly file: Readable
  /** Resolves when nothing is left of it. */
  readonly ended: Promise<void>
  readonly #parts: CaptureParts
  readonly #socket: Socket
  readonly #blocks: CaptureFile
  readonly #reader: RecordReader
  readonly #timer: NodeJS.Timeout
  readonly #quiet: NodeJS.Timeout
  #bytes = 0
  #bytesWhenQuiet = 0
  #stopping: Promise<void> | null = null
  #setEnded: () => void = () => {}

  constructor(parts: CaptureParts) {
    this.#parts = parts
    const { portId, snapLength, seconds } = parts.options
    this.#blocks = new CaptureFile(snapLength, parts.clock)
    this.#reader = new RecordReader((id, label) => this.#introduce(id, label))
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
    this.#push(this.#blocks.begin(parts.application))
    const label = portId === null ? undefined : parts.portLabel(portId)
    if (portId !== null && label !== undefined) this.#introduce(portId, label)
    this.#timer = setTimeout(() => void this.stop(), seconds * 1000)
    this.#quiet = setInterval(() => this.#breakSilence(), QUIET_MS)
  }

  /** Makes the data plane copy frames; again after it was replaced. */
  async start(): Promise<void> {
    if (this.#stopping !== null) return
    const { id, options, program, ends, start } = this.#parts
    const { portId, snapLength } = options
    await start({ id, fd: ends[1], portId, snapLength, filter: program })
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
    return this.#blocks.startedAt
  }

  /** Idempotent. Resolves when the file has its end. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer)
    clearInterval(this.#quiet)
    const counts = await this.#parts.stop(this.#parts.id)
    const drained = new Promise<void>(resolve => this.#socket.once('close', () => resolve()))
    const patience = setTimeout(() => this.#socket.destroy(), DRAIN_MS)
    // What was written is read to its end, however slow the reader is: it is no more than a socket holds.
    if (counts !== null) this.#parts.closeDescriptor(this.#parts.ends[1])
    if (counts === null || this.file.destroyed) this.#socket.destroy()
    else this.#socket.resume()
    await drained
    clearTimeout(patience)
    if (!this.file.destroyed) {
      this.#push(this.#blocks.statistics(counts ?? []))
      this.file.push(null)
    }
    this.#setEnded()
  }

  #convert(chunk: Buffer): void {
    this.#push(this.#blocks.packets(this.#reader.read(chunk)))
    if (this.#bytes >= this.#parts.options.maxBytes) void this.stop()
  }

  #introduce(portId: number, label: PortLabel): void {
    this.#push(this.#blocks.introduce(portId, this.#parts.portLabel(portId) ?? label))
  }

  #breakSilence(): void {
    if (this.#bytes === this.#bytesWhenQuiet && this.file.readableLength === 0) this.#push(quietBlock())
    this.#bytesWhenQuiet = this.#bytes
  }

  #push(bytes: Buffer): void {
    if (this.file.destroyed || bytes.length === 0) return
    this.#bytes += bytes.length
    if (!this.file.push(bytes) && this.#stopping === null) this.#socket.pause()
  }
}
