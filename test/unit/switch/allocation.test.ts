/** In a process of its own, as every test file is, so that nobody else's allocations count. */
import assert from 'node:assert/strict'
import { PerformanceObserver } from 'node:perf_hooks'
import { it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { Switch } from '#src/switch/switch.js'
import { frame, putMac } from '../../support/frames.js'

const PORTS = 7
const FRAMES = 3_000_000
const policy = { maxFrameSize: 0, maxEntries: 0, isolated: false }

/** Known unicast, moves, an address flood against the limits, expiry and groups: every way through `forward`. */
function traffic(core: Switch, bytes: Uint8Array, frames: number, start: number): number {
  let sum = 0
  for (let i = 0; i < frames; i++) {
    bytes[11] = i & 63
    bytes[10] = (i & 7) === 0 ? i >>> 6 : 0
    bytes[9] = (i & 7) === 0 ? i >>> 14 : 0
    bytes[0] = (i & 31) === 3 ? 0x01 : 0x02
    bytes[5] = (i * 7) & 63
    const now = (start + i / 100) | 0
    sum += core.forward(bytes, 0, 60, i % PORTS, now)
    if ((i & 1023) === 0) core.age(now, 64)
  }
  return sum
}

it('forwards millions of frames of all kinds without allocating for them', async () => {
  let events = 0
  const note = () => {
    events++
  }
  const core = new Switch({
    maxPorts: PORTS,
    maxFrameSize: 1518,
    ageingMs: 200,
    maxEntries: 512,
    maxEntriesPerPort: 100,
    hashSeed: 5,
    listener: { learned: note, moved: note, flapping: note, limitReached: note },
  })
  for (let port = 0; port < PORTS; port++) core.addPort(port, policy)
  const bytes = frame('02:00:00:00:00:01', '02:00:00:00:00:02').slice()
  putMac(bytes, 0, 0x020000000000)
  traffic(core, bytes, FRAMES, 2 ** 31 - 1e6)
  let collections = 0
  const observer = new PerformanceObserver(list => {
    collections += list.getEntries().length
  })
  observer.observe({ entryTypes: ['gc'] })
  traffic(core, bytes, FRAMES, 2 ** 32 - 5000)
  traffic(core, bytes, FRAMES, 2 ** 32 - 5000)
  // Collections are told with the next turns of the event loop.
  for (let turn = 0; turn < 3; turn++) await setImmediate()
  observer.disconnect()
  assert.ok(events > 10_000, `${events} events`)
  // A heap number for each frame would be 96 MB, and six collections at least; the runtime itself may need one or two.
  assert.ok(collections <= 2, `the garbage collector ran ${collections} times`)
})
