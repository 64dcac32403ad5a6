/**
 * Notices addresses that jump between ports: a loop in the cabling, or two stations with one address.
 *
 * Bounded and without allocation: a direct-mapped table in which an address has exactly one possible row. A row belongs
 * to the first address that moves until that one's window is over; another address that falls on the same row meanwhile
 * is not watched. Windows do not slide: one begins with a move and lasts `windowMs`, so moves either side of its end
 * are counted apart. Both make it miss now and then what a list per address would see; an address that goes on flapping
 * is reported.
 */
const ROWS = 256
const Row = { keyHigh: 0, keyLow: 1, since: 2, moves: 3 } as const
const ROW_CELLS = 4

export class FlapDetector {
  readonly #rows = new Int32Array(ROWS * ROW_CELLS)
  readonly #maxMoves: number
  readonly #windowMs: number

  /** After `moved`: this move is one more of an address that was reported in this window already. */
  goesOn = false

  /** An address flaps when it moves more than `maxMoves` times within `windowMs`. */
  constructor(maxMoves: number, windowMs: number) {
    this.#maxMoves = maxMoves
    this.#windowMs = windowMs
  }

  /** Notes one move; true at the one move in a window that is too many. */
  moved(keyHigh: number, keyLow: number, now: number): boolean {
    const rows = this.#rows
    const time = now | 0
    const mixed = Math.imul(keyLow ^ (keyHigh * 0x9e37), 0x85ebca6b)
    const at = (mixed >>> 24) * ROW_CELLS
    this.goesOn = false
    const open = rows[at + Row.moves] > 0 && ((time - rows[at + Row.since]) | 0) <= this.#windowMs
    if (!open) {
      rows[at] = keyHigh
      rows[at + Row.keyLow] = keyLow
      rows[at + Row.since] = time
      rows[at + Row.moves] = 1
      return this.#maxMoves === 0
    }
    if (rows[at] !== keyHigh || rows[at + Row.keyLow] !== keyLow) return false
    const moves = ++rows[at + Row.moves]
    this.goesOn = moves > this.#maxMoves + 1
    return moves === this.#maxMoves + 1
  }
}
