/**
 * Writes pcapng (draft-tuexen-opsawg-pcapng): a section, an interface for each port, a packet for each frame, and
 * statistics at the end. Times are nanoseconds since 1970. What the switch knows beyond the bytes is said in the
 * options: whether a frame came in or went out, and, as a comment, why it was dropped.
 */

const SECTION = 0x0a0d0d0a
const INTERFACE = 1
const STATISTICS = 5
const PACKET = 6
/** Name resolution block. */
const NAMES = 4
const MAGIC = 0x1a2b3c4d
const ETHERNET = 1

const Option = {
  comment: 1,
  application: 4,
  name: 2,
  description: 3,
  timeResolution: 9,
  flags: 2,
  startTime: 2,
  endTime: 3,
  received: 4,
  dropped: 5,
  accepted: 6,
} as const
const NANOSECONDS = 9

export const Direction = { in: 1, out: 2 } as const
export type Direction = (typeof Direction)[keyof typeof Direction]

export interface Packet {
  /** As `interfaceBlock` was called, from 0. */
  readonly interfaceId: number
  /** Nanoseconds since 1970. */
  readonly time: bigint
  readonly direction: Direction
  /** Of the frame on the wire; `bytes` may be less. */
  readonly originalLength: number
  readonly bytes: Uint8Array
  readonly comment?: string | undefined
}

export interface Statistics {
  readonly interfaceId: number
  readonly start: bigint
  readonly end: bigint
  /** Frames that passed. */
  readonly received: number
  /** Those that the filter let through. */
  readonly accepted: number
  /** Those that were not looked at, or not kept, for lack of time or room. */
  readonly dropped: number
}

export function sectionBlock(application: string): Buffer {
  const fixed = Buffer.alloc(16)
  fixed.writeUInt32LE(MAGIC, 0)
  fixed.writeUInt16LE(1, 4)
  // Length of the section: not known, it is a stream.
  fixed.writeBigInt64LE(-1n, 8)
  return block(SECTION, fixed, [option(Option.application, Buffer.from(application))])
}

/** `snapLength` in bytes; 0 is no limit. */
export function interfaceBlock(name: string, description: string, snapLength: number): Buffer {
  const fixed = Buffer.alloc(8)
  fixed.writeUInt16LE(ETHERNET, 0)
  fixed.writeUInt32LE(snapLength, 4)
  return block(INTERFACE, fixed, [
    option(Option.name, Buffer.from(name)),
    option(Option.description, Buffer.from(description)),
    option(Option.timeResolution, Buffer.of(NANOSECONDS)),
  ])
}

export function packetBlock({ interfaceId, time, direction, originalLength, bytes, comment }: Packet): Buffer {
  const fixed = Buffer.alloc(20 + padded(bytes.length))
  fixed.writeUInt32LE(interfaceId, 0)
  writeTime(fixed, 4, time)
  fixed.writeUInt32LE(bytes.length, 12)
  fixed.writeUInt32LE(originalLength, 16)
  fixed.set(bytes, 20)
  const flags = Buffer.alloc(4)
  flags.writeUInt32LE(direction)
  const options = [option(Option.flags, flags)]
  if (comment !== undefined) options.push(option(Option.comment, Buffer.from(comment)))
  return block(PACKET, fixed, options)
}

export function statisticsBlock({ interfaceId, start, end, received, accepted, dropped }: Statistics): Buffer {
  const fixed = Buffer.alloc(12)
  fixed.writeUInt32LE(interfaceId, 0)
  writeTime(fixed, 4, end)
  return block(STATISTICS, fixed, [
    option(Option.startTime, timeValue(start)),
    option(Option.endTime, timeValue(end)),
    option(Option.received, count(received)),
    option(Option.dropped, count(dropped)),
    option(Option.accepted, count(accepted)),
  ])
}

/**
 * A name resolution block without names: shows proxies that the connection is alive. Readers take it for what it is;
 * Wireshark lists custom blocks among the packets.
 */
export function quietBlock(): Buffer {
  // One record, of type nrb_record_end and length 0.
  return block(NAMES, Buffer.alloc(4), [])
}

/** Type and length, the fixed part, options, the length again. */
function block(type: number, fixed: Buffer, options: readonly Buffer[]): Buffer {
  const end = Buffer.alloc(options.length > 0 ? 4 : 0)
  const bytes = Buffer.concat([Buffer.alloc(8), fixed, ...options, end, Buffer.alloc(4)])
  bytes.writeUInt32LE(type, 0)
  bytes.writeUInt32LE(bytes.length, 4)
  bytes.writeUInt32LE(bytes.length, bytes.length - 4)
  return bytes
}

function option(code: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + padded(value.length))
  bytes.writeUInt16LE(code, 0)
  bytes.writeUInt16LE(value.length, 2)
  bytes.set(value, 4)
  return bytes
}

/** The upper half comes first, whatever the byte order. */
function writeTime(bytes: Buffer, at: number, time: bigint): void {
  bytes.writeUInt32LE(Number(time >> 32n), at)
  bytes.writeUInt32LE(Number(time & 0xffff_ffffn), at + 4)
}

function timeValue(time: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  writeTime(bytes, 0, time)
  return bytes
}

function count(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function padded(length: number): number {
  return (length + 3) & ~3
}
