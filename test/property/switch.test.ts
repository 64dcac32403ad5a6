/**
 * The switch against a naive model, on random sequences of frames and configuration over few ports and addresses, so
 * that they meet often.
 *
 * Two properties, because of one freedom that the FDB has: an expired entry counts against limits until it is met or
 * swept, and which is met depends on how addresses hash. In the first, limits are tight and time passes together with a
 * full sweep, so the freedom is gone. In the second, nothing is ever swept; limits are out of reach, and the ageing
 * time stays, because raising it revives what expired and was not met.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { receiveDropReasons } from '#src/switch/drop-reason.js'
import { type PortPolicy, Switch, type SwitchLimits, Verdict } from '#src/switch/switch.js'
import { formatMac, highOf, lowOf } from '#src/wire/ethernet.js'
import { frame, macOf } from '../support/frames.js'
import { seed } from '../support/seed.js'
import { SwitchModel } from '../support/switch-model.js'

const PORTS = 4
const stations = [1, 2, 3, 4, 5, 6].map(n => `02:00:00:00:00:0${n}`)
const groups = ['ff:ff:ff:ff:ff:ff', '01:80:c2:00:00:00', '01:80:c2:00:00:0e', '01:80:c2:00:00:10', '33:33:00:00:00:01']
const nobody = '00:00:00:00:00:00'

const port = fc.nat(PORTS - 1)
const station = fc.constantFrom(...stations)
const sender = fc.oneof(
  { weight: 20, arbitrary: station },
  { weight: 1, arbitrary: fc.constantFrom(nobody, ...groups) },
)
const receiver = fc.oneof(
  { weight: 6, arbitrary: station },
  { weight: 1, arbitrary: fc.constantFrom(nobody, ...groups) },
)
const length = fc.oneof(
  { weight: 8, arbitrary: fc.constant(60) },
  { weight: 1, arbitrary: fc.constantFrom(0, 13, 14, 99, 100, 101, 199, 200, 201, 300, 301) },
)
const policy: fc.Arbitrary<PortPolicy> = fc.record({
  maxFrameSize: fc.constantFrom(0, 0, 100, 200, 9000),
  maxEntries: fc.constantFrom(0, 0, 1, 2),
  isolated: fc.boolean(),
})
const limits: fc.Arbitrary<SwitchLimits> = fc.record({
  maxFrameSize: fc.constantFrom(100, 200, 300),
  ageingMs: fc.constantFrom(0, 100, 1000),
  maxEntriesPerPort: fc.constantFrom(1, 2, 3),
})

const step = fc.oneof(
  { weight: 30, arbitrary: fc.record({ do: fc.constant('frame' as const), to: receiver, from: sender, length, port }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 50, 100, 101, 900, 1001) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('add' as const), port, policy }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), port }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('policy' as const), port, policy }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('limits' as const), limits }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('static' as const), mac: station, port }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('removeStatic' as const), mac: station }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), mac: station }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flushPort' as const), port }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), seed: fc.integer() }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

const run = fc.record({
  start: fc.constantFrom(0, 2 ** 31 - 500, 2 ** 32 - 500),
  hashSeed: fc.integer(),
  policies: fc.array(policy, { minLength: 2, maxLength: PORTS }),
  steps: fc.array(step, { maxLength: 200, size: 'max' }),
})

function told(verdict: number): string {
  if (verdict >= 0) return `port ${verdict}`
  if (verdict <= Verdict.dropBase) return String(receiveDropReasons[Verdict.dropBase - verdict])
  return ['', 'broadcast', 'multicast', 'unknown'][-verdict]
}

class Pair {
  readonly heard: string[] = []
  readonly model: SwitchModel
  core: Switch
  now: number
  readonly #tight: boolean
  readonly #before = new Float64Array(4)

  constructor(tight: boolean, start: number, hashSeed: number) {
    this.#tight = tight
    this.now = start
    this.model = new SwitchModel(
      this.#scaled({ maxFrameSize: 200, ageingMs: 100, maxEntriesPerPort: 3 }),
      this.#maxEntries,
    )
    this.core = this.#make(hashSeed)
  }

  step(step: Step): void {
    const { core, model, now } = this
    switch (step.do) {
      case 'frame': {
        if (!model.ports.has(step.port)) return
        const bytes = frame(step.to, step.from, step.length)
        assert.equal(told(core.forward(bytes, 0, bytes.length, step.port, now)), model.forward(step, step.port, now))
        break
      }
      case 'wait':
        this.now += step.ms
        if (this.#tight) this.#sweep()
        break
      case 'add':
        if (model.ports.has(step.port)) {
          assert.throws(() => core.addPort(step.port, step.policy))
        } else {
          core.addPort(step.port, this.#policy(step.policy))
          model.ports.set(step.port, this.#policy(step.policy))
        }
        break
      case 'remove':
        if (model.ports.delete(step.port)) {
          core.removePort(step.port)
          model.flush(entry => entry.port === step.port)
        } else {
          assert.throws(() => core.removePort(step.port))
        }
        break
      case 'policy':
        if (!model.ports.has(step.port)) return
        core.setPolicy(step.port, this.#policy(step.policy))
        model.ports.set(step.port, this.#policy(step.policy))
        break
      case 'limits':
        model.limits = this.#scaled(step.limits)
        core.setLimits(model.limits)
        if (this.#tight) this.#sweep()
        break
      case 'static':
        if (!model.ports.has(step.port)) return
        assert.equal(
          core.addStatic(macOf(step.mac), step.port, now),
          model.addStatic(step.mac, step.port, now, mac => {
            return core.fdb.lookup(highOf(macOf(mac)), lowOf(macOf(mac)), now) >= 0
          }),
        )
        break
      case 'removeStatic': {
        const had = model.fdb.get(step.mac)?.static === true
        if (had) model.fdb.delete(step.mac)
        assert.equal(core.removeStatic(macOf(step.mac)), had)
        break
      }
      case 'forget':
        this.#same(core.forget(macOf(step.mac)), model.fdb.delete(step.mac))
        break
      case 'flush':
        this.#same(
          core.flush(),
          model.flush(entry => !entry.static),
        )
        break
      case 'flushPort':
        if (!model.ports.has(step.port)) return
        this.#same(
          core.flushPort(step.port),
          model.flush(entry => !entry.static && entry.port === step.port),
        )
        break
      case 'restart':
        for (let i = 0; i < 4; i++) this.#before[i] += core.stats[i]
        this.core = this.#make(step.seed, core.fdb.memory)
        break
    }
    this.compare()
  }

  compare(): void {
    const { core, model } = this
    for (let port = 0; port < PORTS; port++) {
      assert.deepEqual([...core.floodTargets(port)], model.ports.has(port) ? model.floodTargets(port) : [])
      assert.equal(core.maxFrameSize[port], model.maxFrameSize(port))
      if (this.#tight) assert.equal(core.fdbCounts[port], model.entriesOf(port), `entries of port ${port}`)
    }
    assert.deepEqual(this.heard, model.heard)
    if (!this.#tight) return
    assert.equal(core.fdb.entries, model.fdb.size)
    const stats = [model.learned, model.moved, model.aged, model.refused]
    assert.deepEqual(
      [...core.stats].map((count, i) => count + this.#before[i]),
      stats,
    )
  }

  /** Compares what is only sure when expired entries were swept. */
  #same(actual: unknown, expected: unknown): void {
    if (this.#tight) assert.equal(actual, expected)
  }

  get #maxEntries(): number {
    return this.#tight ? 4 : 64
  }

  #scaled(limits: SwitchLimits): SwitchLimits {
    return this.#tight ? limits : { ...limits, ageingMs: 100, maxEntriesPerPort: 64 }
  }

  #policy(policy: PortPolicy): PortPolicy {
    return this.#tight ? policy : { ...policy, maxEntries: 0 }
  }

  #sweep(): void {
    this.core.age(this.now, this.core.fdb.capacity)
    // A deletion may shift an entry behind the sweep: two rounds meet all.
    this.core.age(this.now, this.core.fdb.capacity)
    this.model.sweep(this.now)
  }

  #make(hashSeed: number, memory?: SharedArrayBuffer): Switch {
    const core = new Switch({
      ...this.model.limits,
      maxPorts: PORTS,
      maxEntries: this.#maxEntries,
      hashSeed,
      ...(memory && { memory }),
      listener: {
        learned: (high, low, port) => this.heard.push(`learned ${formatMac(high, low)} ${port}`),
        moved: (high, low, from, to) => this.heard.push(`moved ${formatMac(high, low)} ${from}->${to}`),
      },
    })
    for (const [port, policy] of this.model.ports) core.addPort(port, policy)
    return core
  }
}

function check(tight: boolean): void {
  let frames = 0
  fc.assert(
    fc.property(run, ({ start, hashSeed, policies, steps }) => {
      const pair = new Pair(tight, start, hashSeed)
      policies.forEach((policy, port) => {
        pair.step({ do: 'add', port, policy })
      })
      for (const step of steps) {
        pair.step(step)
        if (step.do === 'frame') frames++
      }
    }),
    { seed, numRuns: 300 },
  )
  assert.ok(frames > 5000, `only ${frames} frames were tried`)
}

describe('the switch does what the model does', () => {
  it('with tight limits, when expired entries are swept', () => check(true))
  it('with limits out of reach, when nothing is ever swept', () => check(false))
})
