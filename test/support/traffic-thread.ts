/**
 * A sender and a receiver in a thread of their own, so that their pace does not depend on what the test does meanwhile.
 * They go round in circles: a burst leaves one and has to arrive at the other before the next one leaves.
 *
 * Takes a number of milliseconds, goes round for so long, and answers with what it saw.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { ALICE, BOB, frame } from './frames.js'
import { numbered, numberOf, sourceOf } from './numbered.js'
import { RawPeer } from './raw-peer.js'

export interface TrafficSettings {
  listen: string
  sender: string
  receiver: string
}

export interface TrafficWindow {
  frames: number
  seconds: number
  /** Rounds in which a frame was missing after a second. */
  late: number
  /** The longest round, in milliseconds. */
  longest: number
}

const BURST = 32
const LATE_MS = 1000

const settings = workerData as TrafficSettings
const sender = RawPeer.bind(settings.sender, { sendTo: settings.listen })
const receiver = RawPeer.bind(settings.receiver, { sendTo: settings.listen })
let number = 0

async function window(ms: number): Promise<TrafficWindow> {
  const seen: TrafficWindow = { frames: 0, seconds: 0, late: 0, longest: 0 }
  const began = performance.now()
  for (let now = began; now < began + ms; ) {
    if (await round()) seen.frames += BURST
    else seen.late++
    const ended = performance.now()
    seen.longest = Math.max(seen.longest, ended - now)
    now = ended
  }
  seen.seconds = (performance.now() - began) / 1000
  return seen
}

/** False when not all came in time. Throws when something comes out of order. */
async function round(): Promise<boolean> {
  const first = number
  const burst = Array.from({ length: BURST }, () => numbered(BOB, ALICE, number++))
  await sender.send(burst, 10_000)
  for (let expected = first; expected < number; ) {
    const got = await receiver.receive(LATE_MS).catch(() => undefined)
    if (got === undefined) return false
    if (sourceOf(got) !== ALICE) continue
    if (numberOf(got) !== expected) throw new Error(`frame ${numberOf(got)} came where ${expected} should have`)
    expected++
  }
  return true
}

await receiver.send(frame(BOB, BOB))
parentPort?.on('message', async (ms: number) => {
  parentPort?.postMessage(await window(ms))
})
parentPort?.postMessage('ready')
