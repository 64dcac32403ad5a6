/**
 * How fast frames cross each forwarder, what that costs, and how long one frame takes.
 *
 * One sender, one forwarder, one receiver. Frames per second are counted at the receiver. A cell is measured by a fresh
 * forwarder and fresh peers in three phases: as fast as it goes, at half of what that delivered, and one frame every
 * 200 us. A round visits every row at one size before it goes to the next size, so that rows to be compared are seconds
 * apart; every round begins with another row. Figures are medians over the rounds with least and greatest; a ratio is
 * the median of the ratios within each round, since what disturbs a round disturbs its neighbours alike.
 */
import { writeFile } from 'node:fs/promises'
import { stopAll, stopAllOnSignal } from './child.js'
import { allRows, type Row } from './forwarders.js'
import { framesPerSecond, load, type Phase } from './load.js'
import { enterNamespace, heading } from './machine.js'
import { readOptions } from './options.js'
import { median, short, spread, table } from './statistics.js'

interface Cell {
  row: string
  size: number
  round: number
  max: Phase
  half: Phase
  idle: Phase
}

const options = readOptions()
await enterNamespace(options.qlen)
stopAllOnSignal()

const skipped: string[] = []
const rows = allRows(options.full).filter(row => {
  if (options.only.length && !options.only.includes(row.group) && !options.only.includes(row.key)) return false
  const reason = row.missing()
  if (reason) skipped.push(`${row.name}: ${reason}`)
  return !reason
})

async function measure(row: Row, size: number, round: number): Promise<Cell> {
  const [cpu, cpuSend, cpuReceive] = options.cpu
  const forwarder = await row.start(cpu)
  try {
    const [max, half, idle] = await load({
      kind: row.peers,
      to: forwarder.to,
      directory: forwarder.directory,
      size,
      phases: ['max', 'half', 'idle'],
      watch: forwarder.pid,
      seconds: options.seconds,
      cpuSend,
      cpuReceive,
    })
    return { row: row.key, size, round, max, half, idle }
  } finally {
    await forwarder.stop()
  }
}

const microseconds = (nanoseconds: number) => nanoseconds / 1000
const gigabits = (phase: Phase, size: number) => (framesPerSecond(phase) * size * 8) / 1e9
const lossPercent = (phase: Phase) => (100 * phase.lost) / Math.max(1, phase.received + phase.lost)
const cpuPerMillion = (phase: Phase) => (phase.cpuSeconds * 1e6) / Math.max(1, phase.received)

function rateTable(cells: Cell[]): string {
  const header = [
    'frame',
    'forwarder',
    'kframes/s',
    'Gbit/s',
    'lost %',
    'CPU s per M frames',
    'idle p50 us',
    'idle p99 us',
  ]
  const lines: string[][] = []
  for (const size of options.sizes) {
    for (const row of rows) {
      if (size > (row.largest ?? size)) continue
      const mine = cells.filter(cell => cell.row === row.key && cell.size === size)
      const of = (value: (cell: Cell) => number) => mine.map(value)
      lines.push([
        String(size),
        row.name,
        spread(of(cell => framesPerSecond(cell.max) / 1000)),
        short(median(of(cell => gigabits(cell.max, size)))),
        short(median(of(cell => lossPercent(cell.max)))),
        spread(of(cell => cpuPerMillion(cell.max))),
        spread(of(cell => microseconds(cell.idle.latencyNs.p50))),
        short(median(of(cell => microseconds(cell.idle.latencyNs.p99)))),
        short(median(of(cell => microseconds(cell.half.latencyNs.p50)))),
        short(median(of(cell => microseconds(cell.half.latencyNs.p99)))),
      ])
    }
  }
  return table([...header, 'half load p50 us', 'half load p99 us'], lines)
}

/** For every row and each of its limits: the median over rounds of one figure divided by the other's. */
function ratioTable(cells: Cell[]): string {
  const lines: string[][] = []
  const compare = (upper: Row, lower: Row) => {
    for (const size of options.sizes) {
      if (size > Math.min(upper.largest ?? size, lower.largest ?? size)) continue
      const ratios = (value: (cell: Cell) => number) =>
        cells
          .filter(cell => cell.row === upper.key && cell.size === size)
          .flatMap(cell => {
            const same = (other: Cell) => other.row === lower.key && other.size === size && other.round === cell.round
            const other = cells.find(same)
            return other ? [value(cell) / value(other)] : []
          })
      lines.push([
        `${upper.name} / ${lower.name}`,
        String(size),
        spread(ratios(cell => framesPerSecond(cell.max))),
        spread(ratios(cell => cpuPerMillion(cell.max))),
        spread(ratios(cell => cell.idle.latencyNs.p50)),
        spread(ratios(cell => cell.half.latencyNs.p50)),
      ])
    }
  }
  for (const upper of rows) {
    const others = upper.group === 'tapswitch' ? [...upper.limits, 'vde'] : upper.limits
    for (const key of others) {
      const lower = rows.find(row => row.key === key)
      if (lower) compare(upper, lower)
    }
  }
  if (lines.length === 0) return ''
  return table(['ratio', 'frame', 'frames/s', 'CPU per frame', 'idle p50', 'half load p50'], lines)
}

const cells: Cell[] = []
const failures: string[] = []
const head = heading(`npm run bench -- forwarding ${process.argv.slice(2).join(' ')}`.trim())
try {
  for (let round = 0; round < options.rounds; round++) {
    for (const size of options.sizes) {
      for (let turn = 0; turn < rows.length; turn++) {
        const row = rows[(turn + round) % rows.length]
        if (size > (row.largest ?? size)) continue
        try {
          const cell = await measure(row, size, round)
          cells.push(cell)
          const rate = short(framesPerSecond(cell.max) / 1000)
          console.error(`round ${round + 1}/${options.rounds}, ${size} bytes, ${row.name}: ${rate} kframes/s`)
        } catch (error) {
          const text = error instanceof Error ? error.message : String(error)
          failures.push(`${row.name}, ${size} bytes, round ${round + 1}: ${text.replaceAll(/\s+/g, ' ').slice(0, 500)}`)
          console.error(failures.at(-1))
        }
      }
    }
  }
} finally {
  await stopAll()
}

console.log(`## Forwarding\n\n${head}`)
console.log(
  `Median of ${options.rounds} rounds of ${options.seconds} s (least-greatest). A full C forwarder: ${options.full}.\n`,
)
console.log(rateTable(cells))
console.log(ratioTable(cells))
for (const line of skipped) console.log(`- not measured: ${line}`)
for (const line of failures) console.log(`- failed: ${line}`)
if (options.json) await writeFile(options.json, JSON.stringify({ head, options, cells, skipped, failures }, null, 2))
if (cells.length === 0) process.exitCode = 1
