/** Of this process, which is the switch, its peers and the test together. */
import assert from 'node:assert/strict'

/** Arbitrary: far above what buffers of sockets and V8 take, far below a leak. */
const MAX_GROWTH_BYTES = 200 * 1024 * 1024

/** What is returned fails when the process has grown too much since. */
export function watchMemory(): () => void {
  const before = process.memoryUsage.rss()
  return () => {
    const growth = process.memoryUsage.rss() - before
    assert.ok(growth < MAX_GROWTH_BYTES, `grew by ${growth} bytes`)
  }
}
