/**
 * Simple tabulation: the key's eight bytes pick one random word each from eight tables, and the words are xored.
 *
 * Chosen over a multiply-and-mix hash because linear probing in expected constant time is *proven* for it, whatever the
 * keys (Patrascu and Thorup, "The Power of Simple Tabulation Hashing", 2011), and MAC addresses are as structured as
 * keys get: one vendor prefix and then consecutive numbers. A guest that does not know the seed cannot choose addresses
 * that collide. The tables are 8 KiB and stay in the first-level cache.
 */
export class FdbHash {
  readonly #tables = new Int32Array(8 * 256)

  /** `seed`: 32 random bits that guests do not know. */
  constructor(seed: number) {
    let state = seed | 0
    for (let i = 0; i < this.#tables.length; i++) {
      // splitmix32: a counter through a bijective mixer, so that every seed gives a full-period sequence.
      state = (state + 0x9e3779b9) | 0
      let word = state
      word = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
      word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
      this.#tables[i] = word ^ (word >>> 16)
    }
  }

  /** 32 bits, signed. */
  of(keyHigh: number, keyLow: number): number {
    const tables = this.#tables
    return (
      tables[keyLow & 255] ^
      tables[256 + ((keyLow >>> 8) & 255)] ^
      tables[512 + ((keyLow >>> 16) & 255)] ^
      tables[768 + (keyLow >>> 24)] ^
      tables[1024 + (keyHigh & 255)] ^
      tables[1280 + ((keyHigh >>> 8) & 255)] ^
      tables[1536 + ((keyHigh >>> 16) & 255)] ^
      tables[1792 + ((keyHigh >>> 24) & 255)]
    )
  }
}
