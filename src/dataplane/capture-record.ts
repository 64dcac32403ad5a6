/**
 * A captured frame on its way from the data plane to the main thread: a fixed header and as many bytes as were wanted,
 * padded to eight. Little-endian. One follows the other on a stream socket.
 *
 *     0 size of the record   4 port id   8 time (f64, milliseconds on the shared clock)
 *     16 length of the frame  20 bytes that follow  24 kind  25 drop reason + 1, 0 when it was not dropped  32 bytes ...
 *
 * Before the first frame of a port comes a record that names the port, so that the reader needs no list of ports:
 * guests can make new ports as fast as they connect. A capture tells MAX_CAPTURED_PORTS of them apart; frames of later
 * ones carry the id OTHER_PORTS.
 */
import { receiveDropReasons, transmitDropReasons } from '../switch/drop-reason.js'

export const RECORD_HEADER = 32
export const IN = 1
export const OUT = 2
/** The record names a port: its bytes are the name, a NUL, and the kind of its transport. */
export const PORT = 3

/** Ports that have a place of their own in a capture; the memory of a capture is bounded by it. */
export const MAX_CAPTURED_PORTS = 4096
/** Port id of all ports beyond that. */
export const OTHER_PORTS = 0xffff_ffff

/** How a port is shown. */
export interface PortLabel {
  readonly name: string
  readonly kind: string
}

export interface CaptureRecord {
  readonly portId: number
  /** Milliseconds on the clock all threads share. */
  readonly time: number
  readonly direction: typeof IN | typeof OUT
  /** Of the frame; `bytes` may be less. */
  readonly length: number
  readonly bytes: Uint8Array
  /** Why the frame went no further. */
  readonly dropReason: string | null
}

export function recordSize(captured: number): number {
  return (RECORD_HEADER + captured + 7) & ~7
}

export function encodeLabel({ name, kind }: PortLabel): Buffer {
  return Buffer.from(`${name}\0${kind}`)
}

/** Reads records out of what a socket delivers, in pieces of any size. */
export class RecordReader {
  #rest: Buffer = Buffer.alloc(0)
  readonly #named: (portId: number, label: PortLabel) => void

  /** `named` is called for each record that names a port, before the port's first frame is returned. */
  constructor(named: (portId: number, label: PortLabel) => void) {
    this.#named = named
  }

  /** The bytes of a record are valid until the next call. */
  read(chunk: Buffer): CaptureRecord[] {
    const records: CaptureRecord[] = []
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (bytes.length - at >= RECORD_HEADER) {
      const size = bytes.readUInt32LE(at)
      if (bytes.length - at < size) break
      const content = bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + bytes.readUInt32LE(at + 20))
      if (bytes[at + 24] === PORT) this.#named(bytes.readUInt32LE(at + 4), decodeLabel(content))
      else records.push(recordAt(bytes, at, content))
      at += size
    }
    this.#rest = bytes.subarray(at)
    return records
  }
}

function recordAt(bytes: Buffer, at: number, content: Uint8Array): CaptureRecord {
  const direction = bytes[at + 24] === IN ? IN : OUT
  const reason = bytes[at + 25]
  const reasons: readonly string[] = direction === IN ? receiveDropReasons : transmitDropReasons
  return {
    portId: bytes.readUInt32LE(at + 4),
    time: bytes.readDoubleLE(at + 8),
    direction,
    length: bytes.readUInt32LE(at + 16),
    bytes: content,
    dropReason: reason === 0 ? null : (reasons[reason - 1] ?? 'unknown'),
  }
}

function decodeLabel(content: Buffer): PortLabel {
  const [name = '', kind = ''] = content.toString().split('\0')
  return { name, kind }
}
