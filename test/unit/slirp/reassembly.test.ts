import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Admission } from '#src/slirp/admission.js'
import { Connections } from '#src/slirp/connections.js'
import { LIFETIME_MS, SLOTS, SLOTS_PER_GUEST } from '#src/slirp/reassembly.js'
import type { Refusal } from '#src/slirp/refusals.js'
import { fragment, fragmentsOf } from '../../support/fragments.js'
import { ALICE, BOB } from '../../support/frames.js'
import { viewOf } from '../../support/memory-at.js'
import { bytes4, echoRequest, ethernet, etherType, ip, protocol, tcp, tcpFlag, udp } from '../../support/packets.js'
import { Random, randomSeed } from '../../support/random.js'
import { slirpConfig } from '../../support/slirp-config.js'

const GATEWAY = '52:55:0a:00:02:02'

/** A datagram of so many bytes of data, no two of them alike in a row. */
const datagram = (bytes: number, { mac = ALICE, to = '192.0.2.1', port = 9 } = {}) => {
  const data = Uint8Array.from({ length: bytes }, (_, i) => (i * 7 + (i >> 8)) & 255)
  return ethernet(
    GATEWAY,
    mac,
    etherType.ipv4,
    ip(bytes4('10.0.2.15'), bytes4(to), protocol.udp, udp(5000, port, data)),
  )
}

class Gate {
  readonly given: Uint8Array[] = []
  readonly #admission = new Admission({
    config: slirpConfig(),
    connections: new Connections(1000),
    give: (address, length) => this.given.push(new Uint8Array(viewOf(address, length).buffer.slice(0, length))),
  })
  #now = 0

  send(frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.#admission.admit(frame, 0, frame.length, 0, this.#now)
  }

  later(ms: number): void {
    this.#now += ms
  }

  count(reason: Refusal): number {
    return this.#admission.counts.of(reason)
  }
}

/** The packet without the fields that fragmentation touches: identification, flags, checksum. */
const essence = (frame: Uint8Array) => {
  const copy = Buffer.from(frame)
  copy.fill(0, 18, 22)
  copy.fill(0, 24, 26)
  return copy
}

describe('fragments of a datagram', () => {
  for (const bytes of [2000, 9000, 65_000, 65_507]) {
    for (const order of ['in order', 'last first', 'shuffled'] as const) {
      it(`of ${bytes} bytes, ${order}, reach libslirp as one frame`, () => {
        const gate = new Gate()
        const whole = datagram(bytes)
        gate.send(arranged(fragmentsOf(whole, 7), order))
        assert.equal(gate.given.length, 1)
        assert.ok(essence(gate.given[0] as Uint8Array).equals(essence(whole)), 'byte for byte')
        assert.deepEqual([...(gate.given[0] as Uint8Array).subarray(20, 22)], [0, 0], 'no fragment any more')
        assert.equal(gate.count('overlap') + gate.count('incomplete') + gate.count('fragment'), 0)
      })
    }
  }

  it('are judged as a whole: loopback is out of reach, the gateway serves no TFTP', () => {
    const gate = new Gate()
    gate.send(fragmentsOf(datagram(2000, { to: '127.0.0.1' }), 1))
    gate.send(fragmentsOf(datagram(2000, { to: '10.0.2.2', port: 69 }), 2))
    assert.equal(gate.given.length, 0)
    assert.equal(gate.count('unroutable'), 2)
    assert.equal(gate.count('unsupported'), 1)
  })

  it('never reach libslirp alone, whatever comes first', () => {
    const gate = new Gate()
    const whole = datagram(100)
    gate.send([fragment(whole, { id: 1, offset: 8, isMore: false, data: new Uint8Array(8) })])
    gate.send([fragment(whole, { id: 2, offset: 0, isMore: true, data: new Uint8Array(8) })])
    gate.send([fragment(whole, { id: 3, offset: 1480, isMore: true, data: new Uint8Array(1480) })])
    assert.equal(gate.given.length, 0)
  })

  it('are refused where something of them is there already', () => {
    const gate = new Gate()
    const whole = datagram(2000)
    const [first, last] = fragmentsOf(whole, 7) as [Uint8Array, Uint8Array]
    gate.send([
      first,
      first,
      fragment(whole, { id: 7, offset: 1472, isMore: true, data: new Uint8Array(16).fill(1) }),
      last,
    ])
    assert.equal(gate.count('overlap'), 2)
    assert.ok(essence(gate.given[0] as Uint8Array).equals(essence(whole)), 'what came first counts')
  })

  it('are refused where they disagree about the end', () => {
    const gate = new Gate()
    const whole = datagram(4000)
    const data = new Uint8Array(8)
    gate.send([fragment(whole, { id: 1, offset: 800, isMore: false, data })])
    gate.send([fragment(whole, { id: 1, offset: 1600, isMore: false, data })])
    gate.send([fragment(whole, { id: 1, offset: 1600, isMore: true, data })])
    gate.send([fragment(whole, { id: 2, offset: 1600, isMore: true, data })])
    gate.send([fragment(whole, { id: 2, offset: 800, isMore: false, data })])
    assert.equal(gate.count('overlap'), 3)
    assert.equal(gate.given.length, 0)
  })

  const segment = ethernet(
    GATEWAY,
    ALICE,
    etherType.ipv4,
    ip(bytes4('10.0.2.15'), bytes4('192.0.2.1'), protocol.tcp, tcp({ from: 1, to: 2, seq: 1, flags: tcpFlag.syn })),
  )
  const bad: Record<string, Uint8Array> = {
    'end beyond 65,535 bytes (ping of death)': fragment(datagram(8), {
      id: 1,
      offset: 65_528,
      isMore: false,
      data: new Uint8Array(100),
    }),
    'hold no data': fragment(datagram(8), { id: 1, offset: 0, isMore: true, data: new Uint8Array() }),
    'are not a multiple of eight bytes, and not the last': fragment(datagram(8), {
      id: 1,
      offset: 0,
      isMore: true,
      data: new Uint8Array(1001),
    }),
    'hold less than the TCP header in the first': fragment(segment, {
      id: 1,
      offset: 0,
      isMore: true,
      data: new Uint8Array(16),
    }),
    'begin within the TCP header': fragment(segment, { id: 1, offset: 8, isMore: true, data: new Uint8Array(16) }),
  }
  for (const [what, frame] of Object.entries(bad)) {
    it(`are refused where they ${what}`, () => {
      const gate = new Gate()
      gate.send([frame])
      assert.equal(gate.count('fragment'), 1)
    })
  }

  it('are given up, and counted, when the rest does not come in time', () => {
    const gate = new Gate()
    const [first, last] = fragmentsOf(datagram(2000), 7) as [Uint8Array, Uint8Array]
    gate.send([first])
    gate.later(LIFETIME_MS)
    gate.send([last])
    assert.equal(gate.count('incomplete'), 1)
    assert.equal(gate.given.length, 0)
  })

  it("of a guest that begins many take its own oldest's place, and leave other guests theirs", () => {
    const gate = new Gate()
    const begun = (id: number, mac: string) => fragmentsOf(datagram(2000, { mac }), id)
    const [bobFirst, bobLast] = begun(1, BOB) as [Uint8Array, Uint8Array]
    gate.send([bobFirst])
    for (let id = 0; id < 100; id++) gate.send([begun(id, ALICE)[0] as Uint8Array])
    assert.equal(gate.count('incomplete'), 100 - SLOTS_PER_GUEST)
    gate.send([bobLast])
    assert.equal(gate.given.length, 1)
  })

  it("of a new guest take the place of the greediest guest's oldest when all are taken", () => {
    const gate = new Gate()
    for (let i = 0; i < SLOTS; i++) {
      const mac = `02:00:00:00:00:${(16 + Math.floor(i / SLOTS_PER_GUEST)).toString(16)}`
      gate.send([fragmentsOf(datagram(2000, { mac }), i)[0] as Uint8Array])
    }
    assert.equal(gate.count('incomplete'), 0)
    gate.send(fragmentsOf(datagram(2000, { mac: BOB }), 1))
    assert.equal(gate.given.length, 1)
    assert.equal(gate.count('incomplete'), 1)
  })

  it("do not complete another guest's datagram", () => {
    const gate = new Gate()
    const [first] = fragmentsOf(datagram(2000), 7)
    const [, last] = fragmentsOf(datagram(2000, { mac: BOB }), 7)
    gate.send([first as Uint8Array, last as Uint8Array])
    assert.equal(gate.given.length, 0)
  })

  it('of a ping are put together, too', () => {
    const gate = new Gate()
    const request = Buffer.concat([echoRequest(1), new Uint8Array(3000)])
    const frame = ethernet(
      GATEWAY,
      ALICE,
      etherType.ipv4,
      ip(bytes4('10.0.2.15'), bytes4('10.0.2.2'), protocol.icmp, request),
    )
    gate.send(fragmentsOf(frame, 9))
    assert.equal(gate.given[0]?.length, frame.length)
  })
})

function arranged(frames: Uint8Array[], order: 'in order' | 'last first' | 'shuffled'): Uint8Array[] {
  if (order === 'last first') return frames.reverse()
  if (order === 'in order') return frames
  const random = new Random(randomSeed)
  return frames
    .map(frame => ({ frame, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ frame }) => frame)
}
