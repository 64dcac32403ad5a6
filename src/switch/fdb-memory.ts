/**
 * Where the filtering database lies in shared memory; the writer (`fdb-table.ts`) and `fdb-reader.ts` agree here.
 *
 *     [ header: 16 cells ][ slot 0: 4 cells ][ slot 1 ] ...          a cell is a 32-bit signed integer
 *
 *     header: 0 magic | 1 sequence | 2 now | 3 ageing time
 *     slot:   0 tag        bit 28 occupied | bits 27..16 VID | bits 15..0 octets 0-1 of the address;  0 = empty
 *             1 key low    octets 2-5 of the address
 *             2 place      bit 17 reserved | bit 16 static | bits 15..0 port index
 *             3 last seen  milliseconds modulo 2^32
 *
 * A slot is 16 bytes, so a look-up that hits at its first probe touches one cache line.
 *
 * The frame path uses the small functions below, not exported constants: V8 inlines the functions and folds constants
 * that are private to a module, but loads and checks an imported binding at every use. Measured: 50 and
 * 44 ns a frame.
 */
const HEADER_CELLS = 16
const SLOT_CELLS = 4
const KEY_LOW = 1
const PLACE = 2
const LAST_SEEN = 3
const OCCUPIED = 1 << 28
const STATIC = 1 << 16
/** With STATIC. */
const RESERVED = 1 << 17
const PORT_MASK = 0xffff

export const Header = {
  /** `MAGIC` once the rest is valid; 0 in memory nobody has used. */
  magic: 0,
  /** Odd while the writer changes slots, even else; each change adds two. */
  sequence: 1,
  /** Milliseconds modulo 2^32 on the writer's clock at its last `age`. */
  now: 2,
  ageingMs: 3,
} as const

/** "FDB1", which is also the version of this layout. */
export const MAGIC = 0x46444231
/** Port indices fit into 16 bits. */
export const MAX_PORTS = PORT_MASK + 1
/** Cells of a slot. */
export const SLOT_SIZE = SLOT_CELLS

/** Slots for so many entries: a power of two, at most half full, so that probes stay short and always end. */
export function capacityFor(maxEntries: number): number {
  let capacity = 4
  while (capacity < maxEntries * 2) capacity *= 2
  return capacity
}

/** Bytes of shared memory for so many entries. */
export function bytesFor(maxEntries: number): number {
  return (HEADER_CELLS + capacityFor(maxEntries) * SLOT_CELLS) * 4
}

/** Index of the slot's first cell, its tag. */
export function slotAt(slot: number): number {
  return HEADER_CELLS + (slot << 2)
}

export function tagOf(keyHigh: number): number {
  return keyHigh | OCCUPIED
}

export function isOccupied(tag: number): boolean {
  return (tag & OCCUPIED) !== 0
}

export function vidOf(tag: number): number {
  return (tag >>> 16) & 0xfff
}

export function keyLowAt(at: number): number {
  return at + KEY_LOW
}

export function placeAt(at: number): number {
  return at + PLACE
}

export function lastSeenAt(at: number): number {
  return at + LAST_SEEN
}

/** Place of a dynamic entry is its port index alone. */
export function staticPlace(port: number): number {
  return port | STATIC
}

/**
 * Place of a static entry whose port does not forward: nothing else may learn the address, and look-ups do not find it.
 */
export function reservedPlace(port: number): number {
  return port | STATIC | RESERVED
}

export function portOf(place: number): number {
  return place & PORT_MASK
}

export function isStatic(place: number): boolean {
  return (place & STATIC) !== 0
}

/** True when look-ups do not find the entry: it is reserved, or expired as `isExpired` says. */
export function isHidden(place: number, lastSeen: number, now: number, ageingMs: number): boolean {
  return (place & STATIC) === 0 ? ((now - lastSeen) | 0) > ageingMs : (place & RESERVED) !== 0
}

/**
 * True when a dynamic entry is too old. Times are modulo 2^32, so the difference is taken as signed: right for ages up
 * to 24 days, and a clock that steps back a little makes an entry younger instead of ancient.
 */
export function isExpired(place: number, lastSeen: number, now: number, ageingMs: number): boolean {
  return (place & STATIC) === 0 && ((now - lastSeen) | 0) > ageingMs
}
