/** How often the two clocks are compared; the first time is slow, because the code is cold. */
const ATTEMPTS = 8

/**
 * Milliseconds on CLOCK_MONOTONIC, the same in every thread to about a microsecond. performance.now() is cheap (50 ns)
 * but starts at zero in each thread; process.hrtime() is the same everywhere but allocates. So the second is compared
 * with the first at the beginning. The attempt that took the shortest time counts.
 */
export function sharedClock(): () => number {
  let shortest = Number.POSITIVE_INFINITY
  let origin = 0
  for (let i = 0; i < ATTEMPTS; i++) {
    const before = performance.now()
    const [seconds, nanoseconds] = process.hrtime()
    const after = performance.now()
    if (after - before >= shortest) continue
    shortest = after - before
    origin = seconds * 1000 + nanoseconds / 1e6 - (before + after) / 2
  }
  return () => origin + performance.now()
}
