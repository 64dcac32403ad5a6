import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NativeMemory } from '#src/os/native-memory.js'
import { Admission } from '#src/slirp/admission.js'
import { Connections } from '#src/slirp/connections.js'
import { isTcpChecksumRight } from '#src/slirp/well-formed.js'
import { parseIpv6 } from '#src/wire/ip-address.js'
import { fragmentsOf } from '../../support/fragments.js'
import { ALICE } from '../../support/frames.js'
import { viewOf } from '../../support/memory-at.js'
import { bytes4, ethernet, etherType, ip, packetOf, protocol, segmentOf, tcp, tcpFlag } from '../../support/packets.js'
import { slirpConfig } from '../../support/slirp-config.js'

const { syn, ack, fin, psh, rst } = tcpFlag
const families = [
  { name: 'IPv4', guest: bytes4('10.0.2.15'), remote: bytes4('192.0.2.1'), forbidden: 0 },
  {
    name: 'IPv6',
    guest: parseIpv6('fd00:0:102:304::15') as Uint8Array,
    remote: parseIpv6('2001:db8::1') as Uint8Array,
    forbidden: 0x04030201,
  },
]

interface Sent {
  readonly seq: number
  readonly flags: number
  readonly data?: Uint8Array
}

/** Stands where libslirp does: keeps what it is given, and answers a question with an acknowledgement and a window. */
function stand(
  { guest, remote, forbidden }: (typeof families)[number],
  answers: { ack: number; window: number }[] = [],
) {
  const given: { offset: number; flags: number; data: string }[] = []
  const frameOf = (from: Uint8Array, to: Uint8Array, payload: Uint8Array) =>
    ethernet(
      '52:55:0a:00:02:02',
      ALICE,
      guest.length === 16 ? etherType.ipv6 : etherType.ipv4,
      ip(from, to, 6, payload),
    )
  const admission: Admission = new Admission({
    config: slirpConfig(),
    connections: new Connections(16),
    give: (address, length) => {
      const view = viewOf(address, length)
      const frame = Uint8Array.from(new Uint8Array(view.buffer, view.byteOffset, length))
      const at = 14 + (guest.length === 16 ? 40 : 20)
      assert.ok(isTcpChecksumRight(frame, 14, at, length), 'the checksum is right')
      const packet = packetOf(frame)
      assert.equal(packet?.protocol, protocol.tcp)
      assert.equal(packet?.payload.length, length - at, 'the length of the packet is right')
      const { seq, flags, data } = segmentOf(packet?.payload as Uint8Array)
      given.push({ offset: (seq - forbidden) | 0, flags, data: Buffer.from(data).toString() })
      for (const { ack: number, window } of answers) {
        const answer = Buffer.from(tcp({ from: 80, to: 40_000, seq: 7, ack: forbidden + number, flags: ack }))
        answer.writeUInt16BE(window, 14)
        const bytes = frameOf(remote, guest, answer)
        admission.hear(Buffer.concat([new Uint8Array(5), bytes]), 5)
      }
    },
  })
  return {
    given,
    refused: () => admission.counts.of('sequence'),
    /** `seq` from the forbidden number on. */
    send: ({ seq, flags, data }: Sent, damage = 0, split = (frame: Uint8Array, _id: number) => [frame]) => {
      const segment = tcp({ from: 40_000, to: 80, seq: seq + forbidden, ack: 8, flags, ...(data && { data }) })
      for (const frame of split(frameOf(guest, remote, segment), 1)) {
        const memory = new NativeMemory(frame.length + 8)
        memory.bytes.set(frame, 4)
        memory.bytes[4 + frame.length - 1] ^= damage
        admission.admit(memory.bytes, 4, frame.length, memory.address + 4, 0)
      }
    },
  }
}
const OLD = -(2 ** 30)
const question = { offset: OLD, flags: ack, data: '' }

for (const family of families) {
  describe(`a segment near the sequence number that libslirp cannot bear (${family.name})`, () => {
    const passes: [string, Sent][] = [
      ['is an acknowledgement of it', { seq: 0, flags: ack }],
      ['begins there', { seq: 0, flags: ack | psh, data: Buffer.from('data') }],
      ['is a FIN with data from there', { seq: 0, flags: ack | fin, data: Buffer.from('data') }],
      ['ends one before', { seq: -5, flags: ack, data: Buffer.from('data') }],
      ['is a FIN one before', { seq: -1, flags: ack | fin }],
      ['is a FIN one behind', { seq: 1, flags: ack | fin }],
      ['is a SYN one before', { seq: -1, flags: syn }],
      ['is a SYN on it', { seq: 0, flags: syn }],
      ['is a reset', { seq: 0, flags: rst | fin, data: Buffer.from('data') }],
      ['is half the numbers away', { seq: 2 ** 31, flags: ack, data: Buffer.from('data') }],
    ]
    for (const [what, segment] of passes) {
      it(`passes as it is when it ${what}`, () => {
        const { given, send, refused } = stand(family)
        send(segment)
        const data = Buffer.from(segment.data ?? []).toString()
        assert.deepEqual(given, [{ offset: segment.seq | 0, flags: segment.flags, data }])
        assert.equal(refused(), 0)
      })
    }

    const ends: [string, Sent][] = [
      ['data end', { seq: -4, flags: ack | psh, data: Buffer.from('data') }],
      ['data end, with a FIN', { seq: -4, flags: ack | fin, data: Buffer.from('data') }],
      ['a FIN is', { seq: 0, flags: ack | fin }],
    ]
    for (const [what, segment] of ends) {
      it(`resets the connection at both ends when its ${what} there`, () => {
        const { given, send, refused } = stand(family)
        send(segment)
        const [first, second] = [rst | ack, ack].map(flags => ({ offset: segment.seq, flags, data: '' }))
        assert.deepEqual(given, [first, second])
        assert.equal(refused(), 1)
      })
    }

    const crossing = { seq: -4, flags: ack | psh | fin, data: Buffer.from('crossing') }

    it('passes when it crosses the number within the window that libslirp states', () => {
      for (const answer of [
        { ack: -4, window: 8 },
        { ack: -40, window: 44 },
        { ack: 4, window: 0 },
      ]) {
        const { given, send, refused } = stand(family, [answer])
        send(crossing)
        assert.deepEqual(given, [question, { offset: -4, flags: ack | psh | fin, data: 'crossing' }])
        assert.equal(refused(), 0)
      }
    })

    const doubts: Record<string, { ack: number; window: number }[]> = {
      'ends at the number': [{ ack: -4, window: 4 }],
      'ends one byte before the data': [{ ack: -4, window: 7 }],
      'is stated by no answer': [],
      'is stated by two answers that differ': [
        { ack: -4, window: 8 },
        { ack: -4, window: 4 },
      ],
    }
    for (const [what, answers] of Object.entries(doubts)) {
      it(`is cut one byte before when the window ${what}`, () => {
        const { given, send, refused } = stand(family, answers)
        send(crossing)
        assert.deepEqual(given, [question, { offset: -4, flags: ack, data: 'cro' }])
        assert.equal(refused(), 1)
      })
    }

    it('is kept back when nothing is left of it, and libslirp was asked, so that it acknowledges', () => {
      const { given, send, refused } = stand(family)
      send({ seq: -1, flags: ack, data: Buffer.from('cr') })
      assert.deepEqual(given, [question])
      assert.equal(refused(), 1)
    })

    if (family.name === 'IPv4') {
      it('is judged as a whole when it comes in fragments', () => {
        const { given, send } = stand(family)
        send({ seq: -4000, flags: ack, data: Buffer.alloc(4000) }, 0, fragmentsOf)
        assert.deepEqual(
          given.map(({ flags }) => flags),
          [rst | ack, ack],
        )
      })
    }

    it('loses the data that came with a SYN', () => {
      for (const seq of [-1, -5, -3]) {
        const { given, send, refused } = stand(family)
        send({ seq, flags: syn, data: Buffer.from('data') })
        assert.deepEqual(given, [{ offset: seq, flags: syn, data: '' }])
        assert.equal(refused(), 1)
      }
    })

    it('is not made right when it was damaged', () => {
      const { given, send, refused } = stand(family, [{ ack: -4, window: 8 }])
      send(crossing, 1)
      send({ seq: -4, flags: ack, data: Buffer.from('data') }, 1)
      assert.deepEqual(given, [])
      assert.equal(refused(), 2)
    })
  })
}
