/** Frames that carry a number, so that a test sees which are missing, doubled or out of order. */
import { frame } from './frames.js'

const NUMBER_AT = 14

export function numbered(destination: string, source: string, number: number, length = 60): Uint8Array {
  const bytes = frame(destination, source, length)
  new DataView(bytes.buffer).setUint32(NUMBER_AT, number)
  return bytes
}

export function numberOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(NUMBER_AT)
}

/** `count` frames with numbers from `first` on. */
export function numberedRun(destination: string, source: string, first: number, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => numbered(destination, source, first + i))
}

/** Octets 0 to 5 of a frame. */
export const destinationOf = (bytes: Uint8Array): string => text(bytes.subarray(0, 6))
/** Octets 6 to 11 of a frame. */
export const sourceOf = (bytes: Uint8Array): string => text(bytes.subarray(6, 12))

const text = (octets: Uint8Array) => Array.from(octets, octet => octet.toString(16).padStart(2, '0')).join(':')
