/** Stand-ins for what parts of the data plane are built on, so that each can be tested alone and by hand. */
import { DescriptorTable } from '#src/dataplane/descriptor-table.js'
import { type Endpoint, Fault } from '#src/dataplane/endpoint.js'
import { FramePool } from '#src/dataplane/frame-pool.js'
import { ReceiveBatch } from '#src/dataplane/receive-batch.js'
import { SharedCounters } from '#src/dataplane/shared-memory.js'
import { linuxLayout } from '#src/os/layout.js'
import type { Poller } from '#src/os/poller.js'

/** Remembers what is watched. */
export class FakePoller implements Poller {
  readonly tokens = new Int32Array(128)
  readonly events = new Int32Array(128)
  readonly descriptors: readonly number[] = []
  /** By descriptor: the interest it is watched for. */
  readonly interest = new Map<number, number>()
  readonly tokenOf = new Map<number, number>()
  /** Calls of `watch`. */
  changes = 0

  watch(fd: number, token: number, interest: number): void {
    this.changes++
    if (interest === 0) this.interest.delete(fd)
    else this.interest.set(fd, interest)
    this.tokenOf.set(fd, token)
  }

  wait(): number {
    return 0
  }

  close(): void {}
}

/** Says what it is told to say. Each answer of `transmit` is used once; without one, everything is taken. */
export class FakeEndpoint implements Endpoint {
  /** What `transmit` answers next: frames taken, or a negated error number. */
  answers: number[] = []
  /** What `fault` makes of error numbers; those that are not here mean `skip`. */
  faults: Record<number, Fault> = {}
  /** Frames that were taken, as [port, offset, length]. */
  readonly sent: [port: number, offset: number, length: number][] = []
  calls = 0
  readonly goneports: number[] = []
  /** By port; -1 when it is not here. */
  egressDescriptors = new Map<number, number>()
  onGone: (port: number) => void = () => {}
  /** Ports that were sent a part of the frame after those taken. */
  readonly inPart = new Set<number>()

  transmit(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    this.calls++
    const taken = Math.min(this.answers.shift() ?? count, count)
    for (let i = first; i < first + taken; i++) this.sent.push([port, offsets[i] as number, lengths[i] as number])
    return taken
  }

  fault(_port: number, errno: number): Fault {
    return this.faults[errno] ?? Fault.skip
  }

  unfinished(port: number): boolean {
    return this.inPart.has(port)
  }

  gone(port: number): void {
    this.goneports.push(port)
    this.onGone(port)
  }

  egressDescriptor(port: number): number {
    return this.egressDescriptors.get(port) ?? -1
  }

  receive(): number {
    return 0
  }

  open(): void {}
  tick(): void {}
  message(): void {}
  close(): void {}
}

/** Pool, counters, descriptors and one receive batch, as the engine has them. */
export function fakeParts({ slots = 1024, maxPorts = 8 } = {}) {
  const pool = new FramePool(0, 1518, slots)
  const counters = new SharedCounters({ maxPorts, maxEndpoints: 1 })
  const poller = new FakePoller()
  const descriptors = new DescriptorTable(poller)
  const batch = new ReceiveBatch(linuxLayout, pool)
  return { pool, counters, poller, descriptors, batch, maxPorts }
}
