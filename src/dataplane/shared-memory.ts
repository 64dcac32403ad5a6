/**
 * Counters that the data plane writes and everyone else reads, in one SharedArrayBuffer.
 *
 * There is one writer (the data plane's thread) and any number of readers, so nothing is locked: a counter is a 64-bit
 * float on an 8-byte boundary, which every platform that Node runs on loads and stores whole, and which counts exactly
 * up to 2^53 (at ten million frames a second, 28 years). A reader may see one port's counters from two neighbouring
 * batches; it never sees half a number. Reading costs the data plane nothing.
 *
 * The buffer belongs to the main thread and outlives the data plane's thread: when that is replaced, counting goes on.
 *
 *     [ switch: SWITCH_FIELDS ][ endpoint 0: ENDPOINT_FIELDS ] ... [ port 0: PORT_FIELDS ][ port 1 ] ...
 *
 * A port's row is found by its *index*, a place that is used again; its *id* is never used again. See switch/README.md.
 */
import { floodCauses, receiveDropReasons, transmitDropReasons } from '../switch/drop-reason.js'

/** Fields of one port's row. `receiveDrop` and `transmitDrop` are followed by one counter for each reason. */
export const PortField = {
  receiveFrames: 0,
  receiveBytes: 1,
  transmitFrames: 2,
  transmitBytes: 3,
  /** Gauge: frames waiting in the egress queue. */
  queueFrames: 4,
  /** Gauge: the most frames that ever waited. */
  queueHighWater: 5,
  /** Gauge: FDB entries on this port. */
  fdbEntries: 6,
  /** Gauge: 1 while the port forwards. */
  up: 7,
  /** How often reading this port was held back because its only destination was full. */
  pauses: 8,
  /** Gauge: frames that the port's impairment holds; counted as lost should the data plane die. */
  lineFrames: 9,
  receiveDrop: 16,
  transmitDrop: 32,
} as const
const PORT_FIELDS = 48

/** Upper bounds of the histogram of frames a receive call brought; the last bucket is +Inf. */
export const batchBuckets = [1, 2, 4, 8, 16, 32, 64] as const

/** Fields that belong to the switch as a whole. `flood` is followed by one counter for each cause. */
export const SwitchField = {
  turns: 0,
  /** Seconds the data plane spent working, waiting excluded. */
  busySeconds: 1,
  /** Gauge: milliseconds on the monotonic clock (performance.timeOrigin-based) at the last turn. */
  heartbeat: 2,
  fdbLearned: 3,
  fdbMoved: 4,
  fdbAged: 5,
  fdbRefused: 6,
  /** Gauge: FDB entries, dynamic and static. */
  fdbEntries: 7,
  /** Gauge: free slots of the frame pool. */
  poolFree: 8,
  poolSlots: 9,
  /** Events not reported because too many came at once. */
  eventsSuppressed: 10,
  /** Next port id; ids are never used again in a run. */
  nextPortId: 11,
  batchSum: 12,
  batchCount: 13,
  /** How often an address was found to keep moving; see flap-detector.ts. */
  fdbFlapping: 14,
  flood: 16,
  batchBucket: 24,
  /** Descriptors that may be open for peers, in all; 0 where that is not limited. See descriptor-budget.ts. */
  peerDescriptors: 39,
  /**
   * Events of the data plane's thread that the main thread has taken; the one cell that the main thread writes while it
   * runs.
   */
  eventsTaken: 38,
} as const
const SWITCH_FIELDS = 40

/** Reasons for which an endpoint discards what it received before any port is known. */
export const endpointDropReasons = [
  'unbound',
  'peer-limit',
  'peer-gone',
  'handshake',
  'stranger',
  'bad-length',
  'cut-off',
  'own',
  'receive-buffer',
  'tunnel-header',
  'unknown-vni',
  'copy',
  'not-a-frame',
  'unauthorized',
  'relative-name',
  'no-access',
  'descriptor-limit',
] as const
export type EndpointDropReason = (typeof endpointDropReasons)[number]
/** Gauges: descriptors that either thread has open for an endpoint's peers; see descriptor-budget.ts. */
export const ENDPOINT_DESCRIPTORS_DATA = 29
export const ENDPOINT_DESCRIPTORS_CONTROL = 30
/** How many ports an endpoint has made; behind its drop counters. */
export const ENDPOINT_PORTS_MADE = 31
const ENDPOINT_FIELDS = 32

export interface SharedMemoryShape {
  maxPorts: number
  maxEndpoints: number
}

/** Typed view of the shared counters; made by the main thread, attached to by the data plane. */
export class SharedCounters {
  readonly shape: SharedMemoryShape
  readonly buffer: SharedArrayBuffer
  /** All cells; the data plane's loop indexes it directly with `portRow(index) + PortField.x`. */
  readonly cells: Float64Array

  constructor(shape: SharedMemoryShape, buffer?: SharedArrayBuffer) {
    const cells = SWITCH_FIELDS + shape.maxEndpoints * ENDPOINT_FIELDS + shape.maxPorts * PORT_FIELDS
    this.shape = shape
    this.buffer = buffer ?? new SharedArrayBuffer(cells * 8)
    this.cells = new Float64Array(this.buffer, 0, cells)
  }

  /** Index of the first cell of a port's row. */
  portRow(index: number): number {
    return SWITCH_FIELDS + this.shape.maxEndpoints * ENDPOINT_FIELDS + index * PORT_FIELDS
  }

  /** Index of the first cell of an endpoint's row: one counter for each of `endpointDropReasons`. */
  endpointRow(index: number): number {
    return SWITCH_FIELDS + index * ENDPOINT_FIELDS
  }

  /** Descriptors that are open for peers, of all endpoints. */
  peerDescriptorsHeld(): number {
    let held = 0
    for (let index = 0; index < this.shape.maxEndpoints; index++) held += this.endpointDescriptors(index)
    return held
  }

  /** Descriptors that are open for the peers of one endpoint. */
  endpointDescriptors(index: number): number {
    const row = this.endpointRow(index)
    return this.cells[row + ENDPOINT_DESCRIPTORS_DATA] + this.cells[row + ENDPOINT_DESCRIPTORS_CONTROL]
  }

  /** Forgets what an earlier holder of this index counted. */
  clearPort(index: number): void {
    const row = this.portRow(index)
    this.cells.fill(0, row, row + PORT_FIELDS)
  }

  clearEndpoint(index: number): void {
    const row = this.endpointRow(index)
    this.cells.fill(0, row, row + ENDPOINT_FIELDS)
  }

  readPort(index: number): PortCounters {
    const { cells } = this
    const row = this.portRow(index)
    return {
      receiveFrames: cells[row + PortField.receiveFrames],
      receiveBytes: cells[row + PortField.receiveBytes],
      receiveDrops: named(receiveDropReasons, cells, row + PortField.receiveDrop),
      transmitFrames: cells[row + PortField.transmitFrames],
      transmitBytes: cells[row + PortField.transmitBytes],
      transmitDrops: named(transmitDropReasons, cells, row + PortField.transmitDrop),
      queueFrames: cells[row + PortField.queueFrames],
      queueHighWater: cells[row + PortField.queueHighWater],
      pauses: cells[row + PortField.pauses],
      fdbEntries: cells[row + PortField.fdbEntries],
      up: cells[row + PortField.up] === 1,
    }
  }

  readEndpoint(index: number): Record<EndpointDropReason, number> {
    return named(endpointDropReasons, this.cells, this.endpointRow(index))
  }

  readSwitch(): SwitchCounters {
    const { cells } = this
    return {
      turns: cells[SwitchField.turns],
      busySeconds: cells[SwitchField.busySeconds],
      heartbeat: cells[SwitchField.heartbeat],
      fdbLearned: cells[SwitchField.fdbLearned],
      fdbMoved: cells[SwitchField.fdbMoved],
      fdbAged: cells[SwitchField.fdbAged],
      fdbRefused: cells[SwitchField.fdbRefused],
      fdbFlapping: cells[SwitchField.fdbFlapping],
      fdbEntries: cells[SwitchField.fdbEntries],
      poolFree: cells[SwitchField.poolFree],
      poolSlots: cells[SwitchField.poolSlots],
      eventsSuppressed: cells[SwitchField.eventsSuppressed],
      floods: named(floodCauses, cells, SwitchField.flood),
      batch: {
        sum: cells[SwitchField.batchSum],
        count: cells[SwitchField.batchCount],
        buckets: Array.from(cells.subarray(SwitchField.batchBucket, SwitchField.batchBucket + batchBuckets.length + 1)),
      },
    }
  }
}

export interface PortCounters {
  receiveFrames: number
  receiveBytes: number
  receiveDrops: Record<(typeof receiveDropReasons)[number], number>
  transmitFrames: number
  transmitBytes: number
  transmitDrops: Record<(typeof transmitDropReasons)[number], number>
  queueFrames: number
  queueHighWater: number
  pauses: number
  fdbEntries: number
  up: boolean
}

export interface SwitchCounters {
  turns: number
  busySeconds: number
  heartbeat: number
  fdbLearned: number
  fdbMoved: number
  fdbAged: number
  fdbRefused: number
  fdbFlapping: number
  fdbEntries: number
  poolFree: number
  poolSlots: number
  eventsSuppressed: number
  floods: Record<(typeof floodCauses)[number], number>
  /**
   * `buckets[i]` counts batches of at most `batchBuckets[i]` frames and more than the bucket before; the last is the
   * rest.
   */
  batch: { sum: number; count: number; buckets: number[] }
}

function named<Name extends string>(names: readonly Name[], cells: Float64Array, first: number): Record<Name, number> {
  return Object.fromEntries(names.map((name, i) => [name, cells[first + i]])) as Record<Name, number>
}
