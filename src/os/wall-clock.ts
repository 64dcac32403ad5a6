/**
 * Nanoseconds since 1970, for times that are compared with those of other programs. Date.now() has whole milliseconds,
 * always rounded down.
 */
import { libc } from './libc.js'
import { NativeMemory } from './native-memory.js'

/** The same number on Linux and macOS. */
const CLOCK_REALTIME = 0
const clock_gettime = libc.func('int clock_gettime(int clock, uintptr_t time)') as unknown as (
  clock: number,
  time: number,
) => number

/** How often the two clocks are compared; the attempt that took the shortest time is the truest. */
const ATTEMPTS = 8
/** `struct timespec`: two 64-bit integers. */
const time = new NativeMemory(16)
const fields = new BigInt64Array(time.buffer)

function wallClock(): bigint {
  if (clock_gettime(CLOCK_REALTIME, time.address) !== 0) throw new Error('clock_gettime failed')
  return fields[0] * 1_000_000_000n + fields[1]
}

/** Nanoseconds since 1970 when `clock`, which counts milliseconds, showed 0; true to about a microsecond. */
export function epochOf(clock: () => number): bigint {
  let shortest = Number.POSITIVE_INFINITY
  let epoch = 0n
  for (let i = 0; i < ATTEMPTS; i++) {
    const before = clock()
    const now = wallClock()
    const after = clock()
    if (after - before >= shortest) continue
    shortest = after - before
    epoch = now - nanoseconds((before + after) / 2)
  }
  return epoch
}

export function nanoseconds(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1_000_000))
}
