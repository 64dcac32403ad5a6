/**
 * A guest sends fragments that crash libslirp 4.7.0 of Debian: a last one that arrives first. The gateway goes on for
 * another guest, and fragments that honest guests send arrive whole, in any order.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { fragment, fragmentsOf } from '../../support/fragments.js'
import { ALICE, BOB, BROADCAST } from '../../support/frames.js'
import { bytes4, echoRequest, ethernet, etherType, ip, packetOf, protocol, udp } from '../../support/packets.js'
import { Random, randomSeed } from '../../support/random.js'
import { scale } from '../../support/scale.js'
import type { SlirpGuest } from '../../support/slirp-guest.js'
import { lengthServer, SlirpLab, slirpLabSkip } from '../../support/slirp-lab.js'

const GATEWAY = '52:55:0a:00:02:02'

describe('fragments from a guest', { skip: slirpLabSkip, timeout: 60_000 }, () => {
  let lab: SlirpLab
  let attacker: SlirpGuest
  let neighbour: SlirpGuest
  let port: number

  before(async () => {
    lab = await SlirpLab.open()
    port = await lab.server(lengthServer)
    attacker = lab.guest(ALICE)
    neighbour = lab.guest(BOB)
    await attacker.dhcp()
    await neighbour.dhcp()
  })

  after(() => lab?.close())

  const packet = (guest: SlirpGuest, proto: number, payload: Uint8Array, mac = GATEWAY) =>
    ethernet(mac, guest.mac, etherType.ipv4, ip(bytes4(guest.address), bytes4('10.0.2.2'), proto, payload))

  it('that come in no order leave the gateway as it is, for everyone', async () => {
    for (let round = 0; round < 50 * scale; round++) {
      for (const mac of [BROADCAST, GATEWAY]) {
        const whole = packet(attacker, protocol.udp, udp(1000, 9, new Uint8Array(2000)), mac)
        const last = { offset: 8, isMore: false, data: new Uint8Array(8).fill(0x41) }
        attacker.sendFrame(fragment(whole, { id: round * 2, ...last }))
        attacker.sendFrame(fragmentsOf(whole, round * 2 + 1)[1] as Uint8Array)
      }
      await neighbour.ping('10.0.2.2', round & 255)
    }
    await attacker.ping('10.0.2.2', 1)
    assert.equal((await lab.facts()).restarts, 0)
  })

  const random = new Random(randomSeed)
  for (const bytes of [2000, 9000, 65_000]) {
    it(`of a datagram of ${bytes} bytes arrive as one, in any order`, async () => {
      const data = new Uint8Array(bytes).fill(bytes % 251)
      const pieces = fragmentsOf(packet(neighbour, protocol.udp, udp(2000 + (bytes % 100), port, data)), bytes & 0xffff)
      const shuffled = pieces.map(piece => ({ piece, at: random.next() })).sort((a, b) => a.at - b.at)
      for (const { piece } of shuffled) neighbour.sendFrame(piece)
      const answer = await neighbour.next(frame => {
        const got = packetOf(frame)
        const isAnswer = got?.protocol === protocol.udp && Buffer.from(got.payload).readUInt16BE(0) === port
        return isAnswer ? Buffer.from(got.payload.subarray(8)).toString() : null
      }, 'the length')
      assert.equal(answer, `${bytes} ${bytes % 251}`)
    })
  }

  it('of a ping of 3,000 bytes are answered', async () => {
    const request = Buffer.concat([echoRequest(77), new Uint8Array(3000)])
    for (const piece of fragmentsOf(packet(neighbour, protocol.icmp, request), 78)) neighbour.sendFrame(piece)
    let received = 0
    while (received < request.length) {
      received += await neighbour.next(frame => {
        const got = packetOf(frame)
        return got?.protocol === protocol.icmp ? got.payload.length : null
      }, 'the fragments of the answer')
    }
    assert.equal(received, request.length)
  })
})
