/**
 * libslirp, and admission in front of it, against frames that a seed makes (test/support/slirp-frames.ts). Each run is
 * a process of its own, in a network namespace that has a loopback and no way out, so that a crash is a signal, with
 * the seed and the number of the frame.
 *
 * TAPSWITCH_SEED=<number> repeats a run whose seed was printed. TAPSWITCH_SCALE=500 sends ten million frames,
 * TAPSWITCH_FUZZ_SECONDS=<number> goes on for that long; both print a line for each run. TAPSWITCH_LIBSLIRP names
 * another library.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { loadSlirp } from '#src/slirp/library.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import { projectRoot } from '../support/project-root.js'
import { randomSeed } from '../support/random.js'
import { requirements } from '../support/requires.js'
import { scale } from '../support/scale.js'
import type { FuzzResult } from '../support/slirp-fuzz-child.js'
import { slirpNeeds } from '../support/slirp-guest.js'
import { readTrace } from '../support/slirp-trace.js'

const skip = slirpNeeds().skip || requirements(netnsNeeds).skip
const child = join(projectRoot, 'build/test/support/slirp-fuzz-child.js')
const FRAMES = 20_000
/** A process begins anew after so many frames: a fresh stack, DHCP pool and heap. */
const FRAMES_PER_RUN = 200_000
const seconds = Number(process.env.TAPSWITCH_FUZZ_SECONDS ?? 0)
/** What the heaps of Node and of libslirp may grow by in a run: measured 4 to 10 MB. */
const MAX_GROWTH = 64 * 2 ** 20
/**
 * Of the stack and of Node itself, beside the 200 connections that a run allows guests and the ports of its servers.
 */
const MAX_DESCRIPTORS = 260

type Run = { readonly result: FuzzResult } | { readonly crash: Crash }
interface Crash {
  readonly library: string
  readonly signal: string
  readonly seed: number
  readonly frame: number
  readonly bytes: string
  readonly errors: string
}

describe(`libslirp against made-up frames (TAPSWITCH_SEED=${randomSeed})`, { skip }, () => {
  let netns: Netns
  let folder: string

  before(() => {
    netns = Netns.make({ ipv6: true })
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-fuzz-'))
  })

  after(() => {
    netns?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  async function run(seed: number, frames: number, mode: 'on' | 'off'): Promise<Run> {
    const trace = join(folder, `trace-${seed}-${mode}`)
    const process_ = netns.spawn(process.execPath, child, String(seed), String(frames), mode, trace)
    const [output, errors, [status, signal]] = await Promise.all([
      text(process_.stdout as Readable),
      text(process_.stderr as Readable),
      once(process_, 'close') as Promise<[number | null, string | null]>,
    ])
    if (status === 0) return { result: JSON.parse(output) as FuzzResult }
    assert.ok(signal !== null, `seed ${seed}: ended with ${status}: ${errors}`)
    const last = readTrace(trace).at(-1)
    const bytes = Buffer.from(last?.frame ?? []).toString('hex')
    return { crash: { library: loadSlirp().version, signal, seed, frame: last?.number ?? 0, bytes, errors } }
  }

  it('finds what crashes libslirp 4.7.0 of Debian within a thousand frames when nothing is in front of it', async context => {
    const release = readFileSync('/etc/os-release', 'utf8')
    if (loadSlirp().version !== '4.7.0' || !/^ID=debian$/m.test(release)) {
      return context.skip(`libslirp ${loadSlirp().version} of this system is not known to have the fault`)
    }
    const outcome = await run(randomSeed, 1000, 'off')
    assert.ok('crash' in outcome, 'it survived')
    context.diagnostic(`${outcome.crash.signal} at frame ${outcome.crash.frame}`)
  })

  it('survives them behind admission, bounded in memory and descriptors, and the loopback sees none', async () => {
    const crashes: Crash[] = []
    const wanted = Math.round(FRAMES * scale)
    const began = performance.now()
    const isWanted = (sent: number) => (seconds > 0 ? performance.now() - began < seconds * 1000 : sent < wanted)
    let sent = 0
    for (let seed = randomSeed; isWanted(sent); seed++) {
      const frames = seconds > 0 ? FRAMES_PER_RUN : Math.min(FRAMES_PER_RUN, wanted - sent)
      const outcome = await run(seed, frames, 'on')
      sent += frames
      if ('crash' in outcome) {
        crashes.push(outcome.crash)
        continue
      }
      const { growth, descriptors, strays, given, answered } = outcome.result
      if (wanted > FRAMES || seconds > 0) process.stderr.write(`${sent} frames: ${JSON.stringify(outcome.result)}\n`)
      assert.ok(given > frames / 20 && answered > frames / 20, `seed ${seed}: ${given} given, ${answered} answered`)
      assert.ok(growth < MAX_GROWTH, `seed ${seed}: grew by ${growth} bytes`)
      assert.ok(descriptors < MAX_DESCRIPTORS, `seed ${seed}: ${descriptors} descriptors`)
      if (strays !== undefined) assert.equal(strays, 0, `seed ${seed}: the host's loopback was reached`)
    }
    assert.deepEqual(crashes, [])
  })
})
