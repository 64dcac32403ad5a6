/** What a capture filter costs for each frame, and how long it takes to compile. Prints a table; takes about five seconds. */
import { performance } from 'node:perf_hooks'
import { compileFilter } from '#src/os/filter-compiler.js'
import { compileBpf, type FrameFilter } from '#src/wire/bpf.js'
import { table } from './statistics.js'

const expressions = [
  'arp',
  'tcp port 80',
  'host 10.0.0.1',
  'arp or tcp port 80 and host 10.0.0.3',
  'net 10.0.0.0/8 and not port 22',
  'host fd00::1',
  'vlan 10',
  'greater 100',
]
const ethernet = '020000000002020000000001'
const transport = `0050c000${'00'.repeat(60)}`
const frames = [
  `${ethernet}08060001080006040001020000000001 0a000001 000000000000 0a000002`,
  `${ethernet}0800 4500005400000000 4006 0000 0a000001 0a000002 ${transport}`,
  `${ethernet}0800 4500005400000000 4011 0000 0a000001 0a000003 ${transport}`,
  `${ethernet}86dd 60000000001406ff fd000000000000000000000000000001 fd000000000000000000000000000002 ${transport}`,
  `${ethernet}8100000a0800 4500005400000000 4006 0000 0a000001 0a000002 ${transport}`,
  `${ethernet}88cc${'00'.repeat(46)}`,
].map(hex => Buffer.from(hex.replaceAll(' ', ''), 'hex'))

const BATCH = 64
const SLOT = 2048
const ROUNDS = 5
const BATCHES = 20_000
const memory = new Uint8Array(BATCH * SLOT)
const lengths = new Int32Array(BATCH)
for (let i = 0; i < BATCH; i++) {
  const frame = frames[i % frames.length] as Buffer
  memory.set(frame, i * SLOT)
  lengths[i] = frame.length
}

function pass(matches: FrameFilter): number {
  let matched = 0
  for (let batch = 0; batch < BATCHES; batch++) {
    for (let i = 0; i < BATCH; i++) {
      const length = lengths[i] as number
      if (matches(memory, i * SLOT, length, length)) matched++
    }
  }
  return matched
}

const rows: string[][] = []
for (const expression of expressions) {
  const began = performance.now()
  const program = await compileFilter(expression)
  const compiledMs = performance.now() - began
  const matches = compileBpf(program)
  pass(matches)
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const before = performance.now()
    pass(matches)
    best = Math.min(best, performance.now() - before)
  }
  const nanoseconds = (best * 1e6) / BATCHES / BATCH
  rows.push([`\`${expression}\``, String(program.length / 2), nanoseconds.toFixed(0), compiledMs.toFixed(0)])
}
console.log(table(['filter', 'instructions', 'ns a frame', 'ms to compile'], rows))
