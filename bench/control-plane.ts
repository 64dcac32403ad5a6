/**
 * What everybody who looks costs the frames, all at once: 100 scrapes a second, 50 readers of events, 10 captures of everything, somebody at
 * the API, beside a sender at full speed. Each round measures with and without them, in turn first.
 */
import { Child, stopAll, stopAllOnSignal } from './child.js'
import { compile, root } from './compile.js'
import { allRows, type Forwarder } from './forwarders.js'
import { framesPerSecond, load, type Phase } from './load.js'
import { enterNamespace, heading } from './machine.js'
import type { Observed } from './observers.js'
import { readOptions } from './options.js'
import { short, spread, table } from './statistics.js'

const SCRAPES_PER_SECOND = 100
const EVENT_READERS = 50
const CAPTURES = 10

const options = readOptions({ rounds: 5, sizes: [64, 1514] })
await enterNamespace(options.qlen)
stopAllOnSignal()
const row = allRows(options.full).find(({ key }) => key === 'many')!

async function measure({ to, directory, pid: watch }: Forwarder, size: number): Promise<Phase> {
  const [phase] = await load({ kind: 'qemu', to, directory, size, phases: ['max'], watch, seconds: options.seconds })
  return phase
}

async function measureObserved(forwarder: Forwarder, size: number, seen: Observed[]): Promise<Phase> {
  const port = String(forwarder.httpPort)
  const scraper = await Child.start(compile('scrape'), [port, '/metrics', String(SCRAPES_PER_SECOND)], {
    ready: /^ready$/m,
  })
  const program = `${root}/build/bench/observers.js`
  const counts = [String(EVENT_READERS), String(CAPTURES)]
  const observers = await Child.start(process.execPath, [program, port, ...counts], { ready: /^ready$/m })
  try {
    const phase = await measure(forwarder, size)
    const output = await observers.stop()
    const line = output.split('\n').find(text => text.startsWith('{'))
    if (line === undefined) throw new Error(`the observers failed: ${observers.stderr}`)
    seen.push(JSON.parse(line) as Observed)
    return phase
  } finally {
    await observers.stop()
    await scraper.stop()
  }
}

async function run(): Promise<void> {
  const lines: string[][] = []
  const answers: Observed[] = []
  for (const size of options.sizes) {
    const forwarder = await row.start()
    const without: number[] = []
    const watched: number[] = []
    try {
      await measure(forwarder, size)
      for (let round = 0; round < options.rounds; round++) {
        for (const observed of round % 2 ? [true, false] : [false, true]) {
          if (observed) watched.push(framesPerSecond(await measureObserved(forwarder, size, answers)))
          else without.push(framesPerSecond(await measure(forwarder, size)))
        }
        console.error(`${size} bytes, round ${round + 1}/${options.rounds}`)
      }
    } finally {
      await forwarder.stop()
    }
    const kilo = (rates: number[]) => spread(rates.map(rate => rate / 1000))
    lines.push([String(size), kilo(without), kilo(watched), spread(watched.map((rate, i) => rate / without[i]))])
  }
  console.log(
    `## Forwarding while everybody looks\n\n${heading(`npm run bench -- control-plane ${process.argv.slice(2).join(' ')}`.trim())}`,
  )
  console.log(
    `tapswitch, many peers, full speed, ${options.rounds} rounds of ${options.seconds} s; beside it ${SCRAPES_PER_SECOND} scrapes a second, ` +
      `${EVENT_READERS} readers of events and ${CAPTURES} captures of everything.\n`,
  )
  console.log(table(['bytes', 'kframes/s without', 'with', 'ratio'], lines))
  const of = (pick: (observed: Observed) => number) => spread(answers.map(pick))
  console.log(
    `\`GET /v1/ports\` meanwhile: ${of(({ latencyMs }) => latencyMs.p50)} ms (p50), ${of(({ latencyMs }) => latencyMs.p99)} ms (p99); ` +
      `captured: ${short(Math.max(...answers.map(({ captureBytes }) => captureBytes)) / 2 ** 20)} MiB at most in one round.\n`,
  )
}

const reason = row.missing()
if (reason) console.log(`## Forwarding while everybody looks\n\n- not measured: ${reason}\n`)
else await run().finally(stopAll)
