/**
 * Random bytes at a stream listener: pieces of frames, wrong lengths, noise, connections that end anywhere. Nothing
 * breaks, memory stays bounded, and two guests that keep to the rules notice nothing.
 *
 * TAPSWITCH_SEED=<number> repeats a run whose seed was printed; TAPSWITCH_FUZZ_SECONDS=60 makes it longer.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addressOf } from '../conformance/rig.js'
import { StreamRig } from '../conformance/stream-rig.js'
import { frame } from '../support/frames.js'
import { watchMemory } from '../support/memory-growth.js'
import { numbered, numberOf } from '../support/numbered.js'
import { Random, randomSeed } from '../support/random.js'
import type { StreamPeer } from '../support/stream-peer.js'
import { until } from '../support/until.js'

const seconds = Number(process.env.TAPSWITCH_FUZZ_SECONDS ?? 4)

describe(`stream against random bytes (TAPSWITCH_SEED=${randomSeed})`, () => {
  for (const family of ['unix', 'tcp4'] as const) {
    it(`disturbs nobody, ${family}`, { timeout: (seconds + 60) * 1000 }, async () => {
      const rig = new StreamRig('many', family, 'qemu', { maxFrameSize: 1518, queueFrames: 4096 })
      await rig.start()
      try {
        const random = new Random(randomSeed)
        const [alice, bob] = [await rig.join(0), await rig.join(1)]
        const assertBounded = watchMemory()
        let rogues: StreamPeer[] = []
        let number = 0
        let received = -1
        for (const end = performance.now() + seconds * 1000; performance.now() < end; number++) {
          rogues = rogues.filter(({ ended }) => !ended)
          if (rogues.length < 8) rogues.push(await rig.connect())
          const rogue = random.pick(rogues)
          rogue.sendBytes(noise(random)).catch(() => {})
          if (random.next() < 0.05) rogue.leave()
          await alice.send([numbered(addressOf(1), addressOf(0), number, random.between(60, 1518))])
          while (received < number) {
            // What rogues send by chance to everybody is no frame of Alice's.
            const [bytes] = await bob.receive(1)
            if (isAlices(bytes as Uint8Array)) {
              assert.equal(numberOf(bytes as Uint8Array), received + 1)
              received++
            }
          }
        }
        assert.ok(number > 100, `${number} rounds`)
        assert.ok((rig.drops()['bad-length'] as number) > 0)
        for (const rogue of rogues) rogue.leave()
        await until(() => rig.dataPlane.ports.size === 2, 'the ports of the others are gone')
        assert.equal(rig.dataPlane.restarts, 0)
        assertBounded()
      } finally {
        await rig.stop()
      }
    })
  }
})

function isAlices(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 12)).equals(Buffer.from(frame(addressOf(1), addressOf(0)).subarray(0, 12)))
}

/** Now and then well-formed, so that something is got past the lengths. */
function noise(random: Random): Uint8Array {
  const kind = random.next()
  const body = random.fill(new Uint8Array(random.between(1, 4000)))
  if (kind < 0.2) return body
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32BE(kind < 0.3 ? random.between(0, 80_000) : body.length)
  // Never from Alice or Bob: a forged source would move them, as it may.
  body[6] = 0x06
  if (kind > 0.8) body.fill(0xff, 0, 6)
  return Buffer.concat([prefix, body])
}
