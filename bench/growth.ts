/**
 * Does the switch core get slower as it grows? Prints one markdown table.
 *
 *     node build/bench/growth.js
 *
 * Every row calls `Switch.forward` on frames that lie in memory, so nothing but the core is measured: learning the
 * source (here: noting the time), looking the destination up. Stations are spread over the ports and taken at random;
 * their frames, 14 bytes each, are read in sequence. At 100,000 addresses the FDB is 4 MiB and no longer fits the
 * second-level cache, so each frame pays for two misses: that is all that grows. A new address includes making its
 * frame. "Flood list" is what deciding a flood costs, sending it not included; "port out and in" is `removePort` and
 * `addPort` of a port without addresses. The median of some rounds is shown, as other programs share the machine.
 */
import { pathToFileURL } from 'node:url'
import { type PortPolicy, Switch } from '#src/switch/switch.js'

const FRAMES = 1 << 18
const ROUNDS = 7
const HEADER = 14
/** The table's size in the default configuration; bigger only where the row needs it. */
const DEFAULT_ENTRIES = 16_384
const policy: PortPolicy = { maxFrameSize: 0, maxEntries: 0, isolated: false }

function makeSwitch(ports: number, addresses: number): Switch {
  const core = new Switch({
    maxPorts: 1024,
    maxFrameSize: 1518,
    ageingMs: 300_000,
    maxEntries: Math.max(addresses, DEFAULT_ENTRIES),
    maxEntriesPerPort: Math.max(addresses, DEFAULT_ENTRIES),
    hashSeed: 0x5eed,
  })
  for (let port = 0; port < ports; port++) core.addPort(port, policy)
  return core
}

/** A small generator of its own, so that every run takes the same path. */
function randomly(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return Math.floor(((state >>> 0) / 2 ** 32) * below)
  }
}

function putAddress(bytes: Uint8Array, at: number, station: number): void {
  bytes.set([0x02, 0x00, station >>> 24, station >>> 16, station >>> 8, station], at)
}

interface Traffic {
  bytes: Uint8Array
  ingress: Int32Array
}

/** Frames between random stations; with `unknown`, to stations that never speak. */
function traffic(ports: number, addresses: number, unknown = false): Traffic {
  const random = randomly(7)
  const bytes = new Uint8Array(FRAMES * HEADER)
  const ingress = new Int32Array(FRAMES)
  for (let i = 0; i < FRAMES; i++) {
    const source = random(addresses)
    let destination = random(addresses)
    if (destination % ports === source % ports) destination = (destination + 1) % addresses
    putAddress(bytes, i * HEADER, unknown ? destination + 2 ** 24 : destination)
    putAddress(bytes, i * HEADER + 6, source)
    ingress[i] = source % ports
  }
  return { bytes, ingress }
}

function learnAll(core: Switch, ports: number, addresses: number): void {
  const bytes = new Uint8Array(HEADER).fill(0xff)
  for (let station = 0; station < addresses; station++) {
    putAddress(bytes, 6, station)
    core.forward(bytes, 0, 60, station % ports, 0)
  }
}

let sink = 0

function forwardAll(core: Switch, { bytes, ingress }: Traffic, now: number): void {
  for (let i = 0; i < FRAMES; i++) sink += core.forward(bytes, i * HEADER, 60, ingress[i], now + (i >>> 12))
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >>> 1]
}

function nanoseconds(work: (round: number) => void, count: number): number {
  work(-1)
  const rounds: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    work(round)
    rounds.push(Number(process.hrtime.bigint() - start) / count)
  }
  return median(rounds)
}

/** Nanoseconds for the first frame of a station. Every address is forgotten between the rounds, which is not counted. */
function learningTime(core: Switch, ports: number, addresses: number): number {
  const rounds: number[] = []
  const passes = Math.max(1, Math.floor(2000 / addresses))
  for (let round = 0; round < ROUNDS; round++) {
    let spent = 0n
    for (let pass = 0; pass < passes; pass++) {
      for (let station = 0; station < addresses; station++) core.forget(0x020000000000 + station)
      const start = process.hrtime.bigint()
      learnAll(core, ports, addresses)
      spent += process.hrtime.bigint() - start
    }
    rounds.push(Number(spent) / passes / addresses)
  }
  return median(rounds)
}

function measure(ports: number, addresses: number): string[] {
  const core = makeSwitch(ports, addresses)
  learnAll(core, ports, addresses)
  const known = traffic(ports, addresses)
  const unknown = traffic(ports, addresses, true)
  const unicast = nanoseconds(round => forwardAll(core, known, 1000 * (round + 1)), FRAMES)
  const flood = nanoseconds(round => forwardAll(core, unknown, 100_000 + 1000 * (round + 1)), FRAMES)
  const learning = learningTime(core, ports, addresses)
  const targets = nanoseconds(() => {
    for (let i = 0; i < FRAMES; i++) sink += core.floodTargets(i & 1).length
  }, FRAMES)
  const onePort = nanoseconds(() => {
    for (let i = 0; i < 32; i++) {
      core.removePort(ports - 1)
      core.addPort(ports - 1, policy)
    }
  }, 32)
  const cells = [unicast, flood, learning, targets].map(value => value.toFixed(1))
  return [ports.toLocaleString('en'), addresses.toLocaleString('en'), ...cells, (onePort / 1000).toFixed(1)]
}

export function main(): void {
  const rows: [ports: number, addresses: number][] = [
    [2, 10],
    [2, 100],
    [2, 1000],
    [2, 10_000],
    [2, 100_000],
    [10, 1000],
    [100, 1000],
    [1000, 1000],
    [1000, 100_000],
  ]
  // The compiler is to have seen the widest switch before the first row.
  measure(1000, 1000)
  console.log(
    '| ports | addresses | known unicast, ns | unknown unicast, ns | new address, ns | flood list, ns | port out and in, us |',
  )
  console.log('|---:|---:|---:|---:|---:|---:|---:|')
  for (const [ports, addresses] of rows) console.log(`| ${measure(ports, addresses).join(' | ')} |`)
  if (Number.isNaN(sink)) throw new Error('unreachable; keeps the results in use')
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main()
