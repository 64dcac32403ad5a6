/**
 * What reading `/metrics` costs the frames: latency at half load and idle, with the page read a hundred times a second
 * and without.
 *
 * One switch runs through the whole benchmark; half load is half of what it delivers at the start, the same number in
 * every round. Each round measures with and without, in turn first. The reader is a C program on one kept-alive
 * connection: it takes next to no time, but what the switch's main thread spends on the page is CPU time that sender,
 * data plane and receiver have to share with it, as they would in use.
 */
import { Child, stopAll, stopAllOnSignal } from './child.js'
import { compile } from './compile.js'
import { allRows, type Forwarder } from './forwarders.js'
import { framesPerSecond, load, type Phase } from './load.js'
import { enterNamespace, heading } from './machine.js'
import { readOptions } from './options.js'
import { median, short, spread, table } from './statistics.js'

const SCRAPES_PER_SECOND = 100

interface Scrapes {
  scrapes: number
  seconds: number
  bytesEach: number
  latencyNs: { p50: number; p99: number; max: number }
}

interface Pair {
  without: Phase[]
  with: Phase[]
}

const options = readOptions({ rounds: 5, sizes: [64] })
await enterNamespace(options.qlen)
stopAllOnSignal()

const [size] = options.sizes
const row = allRows(options.full).find(({ key }) => key === 'many')!

async function measure(forwarder: Forwarder, phases: string[]): Promise<Phase[]> {
  const { to, directory, pid: watch } = forwarder
  return await load({ kind: 'qemu', to, directory, size, phases, watch, seconds: options.seconds })
}

async function measureScraped(forwarder: Forwarder, phases: string[], seen: Scrapes[]): Promise<Phase[]> {
  const args = [String(forwarder.httpPort), '/metrics', String(SCRAPES_PER_SECOND)]
  const scraper = await Child.start(compile('scrape'), args, { ready: /^ready$/m })
  try {
    const measured = await measure(forwarder, phases)
    const output = await scraper.stop()
    const line = output.split('\n').find(text => text.startsWith('{'))
    if (!line) throw new Error(`the scraper failed: ${scraper.stderr}`)
    seen.push(JSON.parse(line) as Scrapes)
    return measured
  } finally {
    await scraper.stop()
  }
}

async function run(): Promise<void> {
  const head = heading(`npm run bench -- scrape ${process.argv.slice(2).join(' ')}`.trim())
  const forwarder = await row.start()
  const pairs: Pair[] = []
  const scrapes: Scrapes[] = []
  let rate = 0
  try {
    const [full] = await measure(forwarder, ['max'])
    rate = Math.max(1, Math.round(framesPerSecond(full) / 2))
    const phases = [`rate=${rate}`, 'idle']
    for (let round = 0; round < options.rounds; round++) {
      const pair: Partial<Pair> = {}
      for (const scraped of round % 2 ? [true, false] : [false, true]) {
        if (scraped) pair.with = await measureScraped(forwarder, phases, scrapes)
        else pair.without = await measure(forwarder, phases)
      }
      pairs.push(pair as Pair)
      console.error(`round ${round + 1}/${options.rounds}`)
    }
  } finally {
    await forwarder.stop()
  }

  console.log(`## Latency while /metrics is read\n\n${head}`)
  console.log(`tapswitch, many peers, ${size}-byte frames, ${options.rounds} rounds of ${options.seconds} s.\n`)
  const names = [`half load, ${short(rate / 1000)} kframes/s`, 'idle, 5 kframes/s']
  const lines = names.flatMap((name, phase) =>
    (['p50', 'p99', 'p999'] as const).map(quantile => {
      const of = (side: keyof Pair) => pairs.map(pair => pair[side][phase].latencyNs[quantile] / 1000)
      const ratios = of('with').map((value, round) => value / of('without')[round])
      return [name, quantile, spread(of('without')), spread(of('with')), spread(ratios)]
    }),
  )
  console.log(table(['load', 'one way, us', 'without', `${SCRAPES_PER_SECOND} a second`, 'ratio'], lines))
  const rates = scrapes.map(scrape => scrape.scrapes / scrape.seconds)
  const milliseconds = (quantile: 'p50' | 'p99') =>
    short(median(scrapes.map(({ latencyNs }) => latencyNs[quantile])) / 1e6)
  console.log(
    `Answers a second: ${spread(rates)}, of ${median(scrapes.map(scrape => scrape.bytesEach))} bytes, ` +
      `in ${milliseconds('p50')} ms (p50), ${milliseconds('p99')} ms (p99).\n`,
  )
}

const reason = row.missing()
if (reason) console.log(`## Latency while /metrics is read\n\n- not measured: ${reason}\n`)
else await run().finally(stopAll)
