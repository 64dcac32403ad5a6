/**
 * From a vmnet interface to a VM: the switch, and a C program that makes the same two calls, vmnet_read and sendmmsg, and nothing
 * else. The interface is the stand-in's endless source on Linux, so this is the cost of our side of vmnet, not of vmnet. A round
 * visits both at each size.
 *
 *   npm run bench -- vmnet --rounds 5 --sizes 64,1514,9014
 */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requirements } from '../test/support/requires.js'
import { standinEnvironment, standinLibrary, standinNeeds } from '../test/support/vmnet-standin.js'
import { Child, stopAll, stopAllOnSignal } from './child.js'
import { compile, root } from './compile.js'
import { enterNamespace, heading } from './machine.js'
import { readOptions } from './options.js'
import { median, short, spread, table } from './statistics.js'

const options = readOptions({ sizes: [64, 1514, 9014] })
const { skip } = requirements(standinNeeds)
if (skip !== false) {
  console.log(`## vmnet\n\n- not measured: ${skip}\n`)
  process.exit()
}
await enterNamespace(options.qlen)
stopAllOnSignal()
const head = heading(`npm run bench -- vmnet ${process.argv.slice(2).join(' ')}`.trim())
const HEADER = 14
/** Of the receiver, before it counts. */
const WARM_UP_SECONDS = 0.5
const rows = { c: 'C, the same two calls', tapswitch: 'tapswitch' } as const
type Row = keyof typeof rows

async function start(row: Row, path: string, folder: string, mtu: number): Promise<Child> {
  if (row === 'c') {
    return Child.start(compile('vmnet'), ['forward', standinLibrary(), path, String(mtu)], { ready: /^ready$/m })
  }
  const file = join(folder, 'switch.json')
  const config = {
    runtimeDir: join(folder, 'run'),
    switch: { maxFrameSize: 9018 },
    interfaces: [{ name: 'uplink', type: 'vmnet', mode: 'host', mtu }],
    transports: [{ name: 'vm', type: 'unixgram', listen: path, peers: 'one' }],
    http: false,
  }
  await writeFile(file, JSON.stringify(config))
  const program = join(root, 'dist/cli/main.js')
  return Child.start(process.execPath, [program, 'run', '-c', file], { ready: /"msg":"ready"/ })
}

interface Cell {
  /** Frames per second at the VM. */
  rate: number
  /** Microseconds of the forwarder for each of them, the stand-in's part included. */
  cpu: number
}

/** Seconds of CPU that a process has used, all threads. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function measure(row: Row, size: number): Promise<Cell> {
  const folder = await mkdtemp(join(tmpdir(), 'tapswitch-bench-'))
  Object.assign(process.env, standinEnvironment(`backend source; source-to 2; source-size ${size}`))
  try {
    const path = join(folder, 'vm.sock')
    const { pid } = await start(row, path, folder, Math.max(1500, size - HEADER))
    const before = cpuSeconds(pid)
    const receiver = await Child.start(compile('vmnet'), ['receive', folder, path, String(options.seconds)])
    const { frames } = JSON.parse(await receiver.finished((options.seconds + 15) * 1000)) as { frames: number }
    const counted = frames * (1 + WARM_UP_SECONDS / options.seconds)
    return { rate: frames / options.seconds, cpu: ((cpuSeconds(pid) - before) * 1e6) / counted }
  } finally {
    await stopAll()
    await rm(folder, { recursive: true, force: true })
  }
}

const cells = new Map<string, Cell[]>()
const of = (row: Row, size: number) => cells.get(`${row} ${size}`) ?? []
for (let round = 0; round < options.rounds; round++) {
  for (const size of options.sizes) {
    for (const row of round % 2 === 0 ? (['c', 'tapswitch'] as const) : (['tapswitch', 'c'] as const)) {
      const cell = await measure(row, size)
      cells.set(`${row} ${size}`, [...of(row, size), cell])
      console.error(
        `round ${round + 1}/${options.rounds}, ${size} bytes, ${rows[row]}: ${short(cell.rate / 1000)} kframes/s`,
      )
    }
  }
}

console.log(`## vmnet\n\n${head}`)
console.log(
  table(
    ['frame', 'from vmnet to a VM', 'kframes/s', 'Gbit/s', 'CPU us a frame'],
    options.sizes.flatMap(size =>
      (Object.keys(rows) as Row[]).map(row => [
        String(size),
        rows[row],
        spread(of(row, size).map(({ rate }) => rate / 1000)),
        short((median(of(row, size).map(({ rate }) => rate)) * size * 8) / 1e9),
        spread(of(row, size).map(({ cpu }) => cpu)),
      ]),
    ),
  ),
)
console.log(
  table(
    ['frame', 'tapswitch / C, frames/s', 'CPU a frame'],
    options.sizes.map(size => [
      String(size),
      spread(of('tapswitch', size).map(({ rate }, i) => rate / of('c', size)[i].rate)),
      spread(of('tapswitch', size).map(({ cpu }, i) => cpu / of('c', size)[i].cpu)),
    ]),
  ),
)
