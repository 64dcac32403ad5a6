/** What the filtering database is made from, what learning answers, and what it counts. */
import { bytesFor, MAX_PORTS } from './fdb-memory.js'

const MAX_ENTRIES = 2 ** 22

export interface FdbOptions {
  /** Entries, 1 to 2^22. */
  maxEntries: number
  /** Port indices are below this, at most 65536. */
  maxPorts: number
  /** Milliseconds, 0 to 10^9. */
  ageingMs: number
  /** 32 random bits. */
  seed: number
  /**
   * Shared memory of `Fdb.bytesFor(maxEntries)` bytes: new, or of a table that came before and used the same clock.
   */
  memory?: SharedArrayBuffer
}

/** @throws RangeError when a table cannot have this size, or the memory has another */
export function checkFdbOptions({ maxEntries, maxPorts, memory }: FdbOptions): void {
  if (!Number.isInteger(maxEntries) || maxEntries < 1 || maxEntries > MAX_ENTRIES) {
    throw new RangeError(`maxEntries must be 1..${MAX_ENTRIES}, not ${maxEntries}`)
  }
  if (!Number.isInteger(maxPorts) || maxPorts < 1 || maxPorts > MAX_PORTS) {
    throw new RangeError(`maxPorts must be 1..${MAX_PORTS}, not ${maxPorts}`)
  }
  const bytes = bytesFor(maxEntries)
  if (memory !== undefined && memory.byteLength !== bytes) {
    throw new RangeError(`the FDB's memory must be ${bytes} bytes, not ${memory.byteLength}`)
  }
}

/** What `learn` did. Negative: refused. */
export const Learned = {
  refreshed: 0,
  added: 1,
  /** `Fdb.movedFrom` says from where. */
  moved: 2,
  /** A static entry of another port holds the address. */
  staticElsewhere: -1,
  portFull: -2,
  tableFull: -3,
} as const

/** Indices into `Fdb.stats`. */
export const FdbStat = {
  /** Addresses entered. */
  learned: 0,
  /** Addresses seen on another port than before. */
  moved: 1,
  /** Entries that ended because nothing was heard for `ageingMs`. */
  aged: 2,
  /** Learnings refused: port full, table full, or a static entry elsewhere. */
  refused: 3,
} as const
