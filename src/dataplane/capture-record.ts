/**
 * A captured frame on its way from the data plane to the main thread: a fixed header and as many bytes as were wanted, padded to
 * eight. Little-endian. One follows the other on a stream socket.
 *
 *     0 size of the record   4 port id   8 time (f64, milliseconds on the shared clock)
 *     16 length of the frame  20 bytes that follow  24 direction  25 drop reason + 1, 0 when it was not dropped  32 bytes ...
 */
import { receiveDropReasons, transmitDropReasons } from '../switch/drop-reason.js'

export const RECORD_HEADER = 32
export const IN = 1
export const OUT = 2

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

/** Reads records out of what a socket delivers, in pieces of any size. */
export class RecordReader {
  #rest: Buffer = Buffer.alloc(0)

  /** The bytes of a record are valid until the next call. */
  read(chunk: Buffer): CaptureRecord[] {
    const records: CaptureRecord[] = []
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (bytes.length - at >= RECORD_HEADER) {
      const size = bytes.readUInt32LE(at)
      if (bytes.length - at < size) break
      const direction = bytes[at + 24] === IN ? IN : OUT
      const reason = bytes[at + 25]
      const reasons: readonly string[] = direction === IN ? receiveDropReasons : transmitDropReasons
      records.push({
        portId: bytes.readUInt32LE(at + 4),
        time: bytes.readDoubleLE(at + 8),
        direction,
        length: bytes.readUInt32LE(at + 16),
        bytes: bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + bytes.readUInt32LE(at + 20)),
        dropReason: reason === 0 ? null : (reasons[reason - 1] ?? 'unknown'),
      })
      at += size
    }
    this.#rest = bytes.subarray(at)
    return records
  }
}
