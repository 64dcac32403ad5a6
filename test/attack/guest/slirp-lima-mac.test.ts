/**
 * VMs of lima have MAC addresses 52:55:55:.., and libslirp's begin with 52:55, too. A frame from one such VM to another
 * that the switch floods, because it does not know the other, is not answered by the gateway: neither a reset, nor a
 * connection, nor a ping.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { bytes4, echoRequest, packetOf, protocol, segmentOf, tcp, tcpFlag, udp } from '../../support/packets.js'
import type { SlirpGuest } from '../../support/slirp-guest.js'
import { SlirpLab, slirpLabSkip } from '../../support/slirp-lab.js'

const FIRST = '52:55:55:66:93:01'
const SECOND = '52:55:55:66:93:02'
/** An address of the guests' network that is asleep. */
const SECOND_ADDRESS = '10.0.2.16'

describe('a VM of lima that sends to another one', { skip: slirpLabSkip, timeout: 60_000 }, () => {
  let lab: SlirpLab
  let guest: SlirpGuest

  before(async () => {
    lab = await SlirpLab.open()
    guest = lab.guest(FIRST)
    await guest.dhcp()
  })

  after(() => lab?.close())

  const data = new Uint8Array(8)
  const frames: Record<string, [number, Uint8Array]> = {
    'a segment of a connection': [
      protocol.tcp,
      tcp({ from: 40_000, to: 80, seq: 1000, ack: 2000, flags: tcpFlag.ack }),
    ],
    'a first segment': [protocol.tcp, tcp({ from: 40_001, to: 80, seq: 1000, flags: tcpFlag.syn })],
    'a datagram': [protocol.udp, udp(5000, 6000, data)],
    'a ping': [protocol.icmp, echoRequest(9)],
  }
  for (const [what, [proto, payload]] of Object.entries(frames)) {
    it(`${what}: hears nothing of the gateway`, async () => {
      guest.sendIp(bytes4(SECOND_ADDRESS), proto, payload, { to: SECOND })
      // The answer to this comes after whatever the first frame would have caused.
      await guest.ping('10.0.2.2', 100)
      await assert.rejects(guest.next(answerFrom, 'an answer', 50), /not within/)
    })
  }

  it('reaches the gateway all the same', async () => {
    await guest.ping('10.0.2.2', 101)
    assert.equal(await guest.resolve('10.0.2.2'), '52:55:0a:00:02:02')
  })
})

/** Anything in answer: a reset or a connection, an error or an echo, but not that of the ping. */
function answerFrom(frame: Uint8Array): string | null {
  const packet = packetOf(frame)
  if (packet?.protocol === protocol.tcp) return `flags ${segmentOf(packet.payload).flags}`
  return packet?.protocol === protocol.icmp ? `ICMP ${packet.payload[0]}` : null
}
