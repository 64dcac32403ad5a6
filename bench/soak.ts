/**
 * Does the switch keep its size? Resident memory after start and after 1, 2, 5 and 10 million frames, sent as fast as
 * they go by one sender to one receiver.
 *
 * What a JavaScript process takes while it warms up (compiled code, a heap that has not seen its first collection) it
 * takes within the first million; growth is counted from there.
 */
import { readFileSync } from 'node:fs'
import { stopAll, stopAllOnSignal } from './child.js'
import { allRows } from './forwarders.js'
import { framesPerSecond, load } from './load.js'
import { enterNamespace, heading } from './machine.js'
import { readOptions } from './options.js'
import { short, table } from './statistics.js'

const MILLIONS = [1, 1, 3, 5]

const options = readOptions({ sizes: [64] })
await enterNamespace(options.qlen)
stopAllOnSignal()

const [size] = options.sizes
const row = allRows(options.full).find(({ key }) => key === 'many')!

/** KiB. */
function residentSize(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

async function run(): Promise<void> {
  const head = heading(`npm run bench -- soak ${process.argv.slice(2).join(' ')}`.trim())
  const forwarder = await row.start()
  try {
    const atStart = residentSize(forwarder.pid)
    const phases = await load({
      kind: 'qemu',
      to: forwarder.to,
      directory: forwarder.directory,
      size,
      phases: MILLIONS.map(millions => `frames=${millions * 1_000_000}`),
      watch: forwarder.pid,
      settle: 0,
    })
    const mebibytes = (kib: number) => (kib / 1024).toFixed(1)
    const lines = [['0', mebibytes(atStart), '', '']]
    let total = 0
    phases.forEach((phase, index) => {
      total += MILLIONS[index]
      const lost = `${short((100 * phase.lost) / Math.max(1, phase.received + phase.lost))} %`
      lines.push([String(total), mebibytes(phase.residentKiB), short(framesPerSecond(phase) / 1000), lost])
    })
    const first = phases[0].residentKiB
    const growth = phases[phases.length - 1].residentKiB - first
    console.log(`## Memory\n\n${head}`)
    console.log(`tapswitch, many peers, ${size}-byte frames.\n`)
    console.log(table(['million frames', 'resident, MiB', 'kframes/s', 'lost'], lines))
    const perFrame = (growth * 1024) / ((total - 1) * 1e6)
    console.log(
      `From the first million to the last: ${mebibytes(growth)} MiB, ${((100 * growth) / first).toFixed(1)} %, ` +
        `${perFrame.toFixed(2)} bytes a frame.\n`,
    )
  } finally {
    await forwarder.stop()
  }
}

const reason = row.missing()
if (reason) console.log(`## Memory\n\n- not measured: ${reason}\n`)
else await run().finally(stopAll)
