/**
 * Milliseconds on CLOCK_MONOTONIC, the same in every thread. performance.now() is cheap (50 ns) but starts at zero in each
 * thread; process.hrtime() is the same everywhere but allocates. So the second is asked once for where the first began.
 */
export function sharedClock(): () => number {
  const [seconds, nanoseconds] = process.hrtime()
  const origin = seconds * 1000 + nanoseconds / 1e6 - performance.now()
  return () => origin + performance.now()
}
