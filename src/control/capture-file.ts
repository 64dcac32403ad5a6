/**
 * What a capture's file consists of: blocks of pcapng, made from the data plane's records.
 *
 * A port gets an interface in the file when its first frame comes. pcapng has no way to take an interface back, so
 * there are at most MAX_CAPTURED_PORTS of them; frames of later ports belong to one more, `other ports`.
 */
import { type CaptureRecord, IN, MAX_CAPTURED_PORTS, OTHER_PORTS, type PortLabel } from '../dataplane/capture-record.js'
import type { CaptureCount } from '../dataplane/capture-session.js'
import { epochOf, nanoseconds } from '../os/wall-clock.js'
import { Direction, interfaceBlock, packetBlock, sectionBlock, statisticsBlock } from './pcapng.js'

/** Nanoseconds; a smaller difference between the clocks is how exactly they can be compared. */
const CLOCK_TOLERANCE = 20_000n
/** Milliseconds between comparisons. */
const CLOCK_CHECK_MS = 1000

const otherPorts: PortLabel = { name: 'other ports', kind: `every port after the first ${MAX_CAPTURED_PORTS}` }

export class CaptureFile {
  readonly #snapLength: number
  readonly #clock: () => number
  /** The places of ports in the file, by id. */
  readonly #interfaces = new Map<number, number>()
  /** Nanoseconds since 1970 at zero of the shared clock. */
  #epoch: bigint
  #comparedAt: number
  readonly #startedAt: bigint

  /** `clock` gives milliseconds on the clock all threads share. */
  constructor(snapLength: number, clock: () => number) {
    this.#snapLength = snapLength
    this.#clock = clock
    this.#epoch = epochOf(clock)
    this.#comparedAt = clock()
    this.#startedAt = this.#timeOf(this.#comparedAt)
  }

  /** Milliseconds since 1970. */
  get startedAt(): number {
    return Number(this.#startedAt / 1_000_000n)
  }

  begin(application: string): Buffer {
    return sectionBlock(application)
  }

  /** Gives the port a place in the file; empty when it has one, or when there are too many. */
  introduce(portId: number, label: PortLabel): Buffer {
    if (this.#interfaces.has(portId)) return Buffer.alloc(0)
    if (this.#interfaces.size >= MAX_CAPTURED_PORTS && portId !== OTHER_PORTS) return Buffer.alloc(0)
    this.#interfaces.set(portId, this.#interfaces.size)
    return interfaceBlock(label.name, label.kind, this.#snapLength)
  }

  packets(records: readonly CaptureRecord[]): Buffer {
    this.#compareClocks()
    const blocks: Buffer[] = []
    for (const { portId, time, direction, length, bytes, dropReason } of records) {
      blocks.push(
        packetBlock({
          interfaceId: this.#placeOf(portId, blocks),
          time: this.#timeOf(time),
          direction: direction === IN ? Direction.in : Direction.out,
          originalLength: length,
          bytes,
          comment: dropReason === null ? undefined : `dropped: ${dropReason}`,
        }),
      )
    }
    return Buffer.concat(blocks)
  }

  statistics(counts: readonly CaptureCount[]): Buffer {
    const end = this.#timeOf(this.#clock())
    const blocks: Buffer[] = []
    for (const { portId, name, kind, seen, accepted, missed } of counts) {
      if (portId !== OTHER_PORTS) blocks.push(this.introduce(portId, { name, kind }))
      const interfaceId = this.#placeOf(portId, blocks)
      const start = this.#startedAt
      blocks.push(statisticsBlock({ interfaceId, start, end, received: seen, accepted, dropped: missed }))
    }
    return Buffer.concat(blocks)
  }

  /** Adds the interface of the other ports to `blocks` when it is needed for the first time. */
  #placeOf(portId: number, blocks: Buffer[]): number {
    const known = this.#interfaces.get(portId) ?? this.#interfaces.get(OTHER_PORTS)
    if (known !== undefined) return known
    blocks.push(this.introduce(OTHER_PORTS, otherPorts))
    return this.#placeOf(OTHER_PORTS, blocks)
  }

  #timeOf(milliseconds: number): bigint {
    return this.#epoch + nanoseconds(milliseconds)
  }

  /**
   * The machine's clock may be set while a capture runs, and the shared clock does not count a sleep of the machine.
   */
  #compareClocks(): void {
    const now = this.#clock()
    if (now - this.#comparedAt < CLOCK_CHECK_MS) return
    this.#comparedAt = now
    const epoch = epochOf(this.#clock)
    const difference = epoch - this.#epoch
    if (difference > CLOCK_TOLERANCE || difference < -CLOCK_TOLERANCE) this.#epoch = epoch
  }
}
