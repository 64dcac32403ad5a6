/** What the filtering database is made from, what learning answers, and what it counts. */
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
