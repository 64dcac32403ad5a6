/**
 * Frames per second from one WebSocket client to another, through the switch and through a relay that only broadcasts, which
 * is what people run today. Both are `ws` underneath. A round visits each at each size, so what disturbs one disturbs the other.
 *
 *   npm run bench -- websocket --rounds 5 --sizes 64,1514,9014
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child, stopAll, stopAllOnSignal } from './child.js'
import { root } from './compile.js'
import { heading } from './machine.js'
import { readOptions } from './options.js'
import { median, short, spread, table } from './statistics.js'

interface Cell {
  received: number
  sent: number
}

const options = readOptions({ sizes: [64, 512, 1514, 9014] })
stopAllOnSignal()
const folder = await mkdtemp(join(tmpdir(), 'tapswitch-bench-'))
const script = (name: string) => join(root, 'build', 'bench', `${name}.js`)
const head = heading(`npm run bench -- websocket ${process.argv.slice(2).join(' ')}`.trim())

async function startRelay(): Promise<string> {
  const child = await Child.start(process.execPath, [script('websocket-relay')], { ready: /port \d+/ })
  return `ws://127.0.0.1:${/port (\d+)/.exec(child.stdout)?.[1]}/`
}

async function startSwitch(): Promise<string> {
  const file = join(folder, 'switch.json')
  const config = {
    runtimeDir: join(folder, 'run'),
    switch: { maxFrameSize: 9018 },
    transports: [{ name: 'web', type: 'websocket', listen: '/ethernet' }],
    http: { listen: '127.0.0.1:0' },
  }
  await writeFile(file, JSON.stringify(config))
  const child = await Child.start(process.execPath, [join(root, 'dist/cli/main.js'), 'run', '-c', file], {
    ready: /"msg":"ready"/,
  })
  const port = /"http":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(child.stderr)?.[1]
  return `ws://127.0.0.1:${port}/ethernet`
}

async function measure(url: string, size: number): Promise<Cell> {
  const args = [script('websocket-load'), url, String(size), String(options.seconds)]
  const child = await Child.start(process.execPath, args)
  return JSON.parse(await child.finished((options.seconds + 15) * 1000)) as Cell
}

const rows = { relay: 'a relay with ws, which broadcasts', tapswitch: 'tapswitch' } as const
const cells = new Map<string, Cell[]>()
try {
  const urls = { relay: await startRelay(), tapswitch: await startSwitch() }
  for (let round = 0; round < options.rounds; round++) {
    for (const size of options.sizes) {
      for (const row of round % 2 === 0 ? (['relay', 'tapswitch'] as const) : (['tapswitch', 'relay'] as const)) {
        const cell = await measure(urls[row], size)
        const key = `${row} ${size}`
        cells.set(key, [...(cells.get(key) ?? []), cell])
        console.error(
          `round ${round + 1}/${options.rounds}, ${size} bytes, ${rows[row]}: ${short(cell.received / 1000)} kframes/s`,
        )
      }
    }
  }
} finally {
  await stopAll()
  await rm(folder, { recursive: true })
}

const of = (row: keyof typeof rows, size: number) => cells.get(`${row} ${size}`) ?? []
console.log(`## WebSocket\n\n${head}`)
console.log(
  table(
    ['frame', 'through', 'kframes/s', 'lost %'],
    options.sizes.flatMap(size =>
      (Object.keys(rows) as (keyof typeof rows)[]).map(row => [
        String(size),
        rows[row],
        spread(of(row, size).map(cell => cell.received / 1000)),
        short(median(of(row, size).map(cell => Math.max(0, 100 - (100 * cell.received) / cell.sent)))),
      ]),
    ),
  ),
)
console.log(
  table(
    ['ratio of frames/s', ...options.sizes.map(String)],
    [
      [
        'tapswitch / relay',
        ...options.sizes.map(size =>
          spread(
            of('tapswitch', size).map((cell, i) => cell.received / (of('relay', size)[i]?.received ?? Number.NaN)),
          ),
        ),
      ],
    ],
  ),
)
