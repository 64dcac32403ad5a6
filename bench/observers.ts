/**
 * Those who look at a switch, for the benchmark of what they cost: event readers, captures whose bytes are thrown away, and somebody who asks
 * the API ten times a second and measures how long it takes. SIGTERM ends it, with one line of JSON.
 *
 *     node observers.js PORT READERS CAPTURES
 */
import { Agent, get, type IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

export interface Observed {
  /** Milliseconds that `GET /v1/ports` took. */
  latencyMs: { p50: number; p99: number; max: number }
  requests: number
  eventBytes: number
  captureBytes: number
}

const [port, readers, captures] = process.argv.slice(2).map(Number)
const streaming = new Agent({ keepAlive: false })
const asking = new Agent({ keepAlive: true, maxSockets: 1 })
const seen = { eventBytes: 0, captureBytes: 0 }

function open(path: string, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, resolve).on('error', reject)
  })
}

async function read(path: string, what: keyof typeof seen): Promise<void> {
  const response = await open(path, streaming)
  if (response.statusCode !== 200) throw new Error(`${path}: status ${response.statusCode}`)
  response.on('data', (chunk: Buffer) => {
    seen[what] += chunk.length
  })
  response.on('error', () => {})
}

let stopping = false
process.once('SIGTERM', () => {
  stopping = true
})

await Promise.all([
  ...Array.from({ length: readers }, () => read('/v1/events', 'eventBytes')),
  ...Array.from({ length: captures }, () => read('/v1/capture', 'captureBytes')),
])
console.log('ready')

const took: number[] = []
while (!stopping) {
  const before = performance.now()
  const response = await open('/v1/ports', asking)
  for await (const _chunk of response) {
    // Only how long it takes is of interest.
  }
  took.push(performance.now() - before)
  await delay(Math.max(0, 100 - (performance.now() - before)))
}
took.sort((a, b) => a - b)
const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? Number.NaN
const observed: Observed = { latencyMs: { p50: at(0.5), p99: at(0.99), max: at(1) }, requests: took.length, ...seen }
console.log(JSON.stringify(observed))
process.exit(0)
