import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { SOCKADDR_UN_STORAGE } from '#src/os/sockaddr-un.js'
import { PeerTable } from '#src/transports/peer-table.js'
import { seed } from '../../support/seed.js'

const WORDS = SOCKADDR_UN_STORAGE / 4

/** Addresses as the kernel leaves them: one behind the other, with what was there before behind each. */
class Names {
  readonly words = new Int32Array(4 * WORDS)
  readonly #bytes = new Uint8Array(this.words.buffer)

  /** Writes an address at place `i` without clearing the place. */
  put(i: number, address: Uint8Array): number {
    this.#bytes.set(address, i * SOCKADDR_UN_STORAGE)
    return i * WORDS
  }

  litter(byte: number): void {
    this.#bytes.fill(byte)
  }
}

const pathOf = (text: string) => Uint8Array.of(1, 0, ...Buffer.from(text), 0)

describe('PeerTable', () => {
  it('finds an address whatever an earlier, longer one left behind it', () => {
    const table = new PeerTable<string>(1)
    const names = new Names()
    // Lengths modulo four: every tail there is.
    const addresses = ['/a', '/ab', '/abc', '/abcd'].map(pathOf)
    for (const [i, address] of addresses.entries()) table.add(address, `peer ${i}`)
    for (const byte of [0xff, 0x00, 0x5a]) {
      names.litter(byte)
      for (const [i, address] of addresses.entries()) {
        const first = names.put(i, address)
        assert.equal(table.find(names.words, first, address.length), `peer ${i}`)
        assert.equal(table.find(names.words, first, address.length), `peer ${i}`, 'asked for again')
      }
    }
  })

  it('takes one that is the beginning of another for what it is', () => {
    const table = new PeerTable<string>(1)
    const names = new Names()
    table.add(pathOf('/run/vm1'), 'vm1')
    const longer = pathOf('/run/vm10')
    const first = names.put(0, longer)
    assert.equal(table.find(names.words, first, longer.length), null)
    assert.equal(table.find(names.words, first, 10), null, 'without the NUL it is another address')
  })

  it('refuses the same address twice, and takes it again after it was removed', () => {
    const table = new PeerTable<string>(1)
    table.add(pathOf('/a'), 'first')
    assert.throws(() => table.add(pathOf('/a'), 'second'), /already/)
    table.remove('first')
    table.add(pathOf('/a'), 'second')
    const names = new Names()
    assert.equal(table.find(names.words, names.put(0, pathOf('/a')), 5), 'second')
    assert.equal(table.size, 1)
  })

  it('holds exactly what was added and not removed', () => {
    const address = fc
      .oneof(
        fc.uint8Array({ minLength: 0, maxLength: 110 }),
        // Close to each other: same length, or one the beginning of the other.
        fc.stringMatching(/^\/r\/vm[0-3]{0,4}$/).map(pathOf),
      )
      .map(bytes => bytes.slice())
    const step = fc.record({ what: fc.constantFrom('add', 'add', 'find', 'remove'), address, place: fc.nat(3) })
    fc.assert(
      fc.property(fc.integer(), fc.array(step, { maxLength: 120 }), (hashSeed, steps) => {
        const table = new PeerTable<object>(hashSeed)
        const model = new Map<string, object>()
        const names = new Names()
        names.litter(hashSeed & 255)
        for (const { what, address, place } of steps) {
          const key = Buffer.from(address).toString('hex')
          const known = model.get(key)
          if (what === 'add' && known === undefined) {
            const peer = { key }
            model.set(key, peer)
            table.add(address, peer)
          } else if (what === 'remove' && known !== undefined) {
            model.delete(key)
            table.remove(known)
          }
          const first = names.put(place, address)
          assert.equal(table.find(names.words, first, address.length), model.get(key) ?? null)
          assert.equal(table.size, model.size)
        }
        for (const [key, peer] of model) {
          const bytes = Buffer.from(key, 'hex')
          assert.equal(table.find(names.words, names.put(1, bytes), bytes.length), peer)
        }
      }),
      { seed, numRuns: 300 },
    )
  })
})
