/**
 * A guest brings a TCP connection to the sequence number at which libslirp 4.7.0 takes the head of its list of segments
 * for a segment (src/slirp/sequence-guard.ts). The gateway goes on, and an upload that crosses the number arrives
 * whole.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { parseIpv6 } from '#src/wire/ip-address.js'
import { ALICE, BOB } from '../../support/frames.js'
import { bytes4, ethernet, etherType, ip, packetOf, protocol, segmentOf, tcp, tcpFlag } from '../../support/packets.js'
import type { SlirpGuest } from '../../support/slirp-guest.js'
import { SlirpLab, slirpLabSkip } from '../../support/slirp-lab.js'

const { syn, ack: ACK, fin, rst } = tcpFlag
/** libslirp's buffer for a connection: so much its window takes at first, though it offers 65,535 bytes. */
const BUFFER = 131_072
const FULL = 1460
const GATEWAY_MAC = '52:55:0a:00:02:02'
const GATEWAY_MAC_6 = '52:56:00:00:00:02'

/** Says how many bytes each connection has brought, once that is at its end; ends its own side at once after a "!". */
const countServer = `
const server = require('node:net').createServer({ allowHalfOpen: true }, socket => {
  let count = 0
  socket.on('error', () => {})
  socket.on('data', data => { count += data.length; if (data.includes(33)) socket.end() })
  socket.on('end', () => socket.end(String(count)))
})
server.listen(0, '::', 511, () => console.log(server.address().port))`

const families = [
  { name: 'IPv4', source: bytes4('10.0.2.15'), gateway: bytes4('10.0.2.2'), forbidden: 0 },
  {
    name: 'IPv6',
    source: parseIpv6('fd00::15') as Uint8Array,
    gateway: parseIpv6('fd00::2') as Uint8Array,
    forbidden: 0,
  },
  {
    name: 'IPv6, from an address that makes another number',
    source: parseIpv6('fd00:0:102:304::15') as Uint8Array,
    gateway: parseIpv6('fd00::2') as Uint8Array,
    forbidden: 0x04030201,
  },
]

describe('a TCP connection that a guest brings to the number libslirp cannot bear', {
  skip: slirpLabSkip,
  timeout: 90_000,
}, () => {
  let lab: SlirpLab
  let attacker: SlirpGuest
  let neighbour: SlirpGuest
  let port: number
  let lastPort = 20_000

  before(async () => {
    lab = await SlirpLab.open()
    port = await lab.server(countServer)
    attacker = lab.guest(ALICE)
    neighbour = lab.guest(BOB)
    await attacker.dhcp()
    await neighbour.dhcp()
    assert.equal(attacker.address, '10.0.2.15')
  })

  after(() => lab?.close())

  /** A connection whose data begin at this sequence number. */
  async function open({ source, gateway }: (typeof families)[number], first: number) {
    const isIpv6 = source.length === 16
    const from = ++lastPort
    const [mac, type] = isIpv6 ? [GATEWAY_MAC_6, etherType.ipv6] : [GATEWAY_MAC, etherType.ipv4]
    let ack = 0
    const send = (flags: number, seq: number, data: Uint8Array = new Uint8Array()) => {
      const segment = tcp({ from, to: port, seq, ack, flags, data })
      attacker.sendFrame(ethernet(mac, ALICE, type, ip(source, gateway, protocol.tcp, segment)))
    }
    const answer = (what: string) =>
      attacker.next(frame => {
        const packet = packetOf(frame)
        if (packet?.protocol !== protocol.tcp) return null
        const segment = segmentOf(packet.payload)
        return segment.to === from ? segment : null
      }, what)
    if (isIpv6) attacker.sendFrame(solicitation(source, gateway))
    send(syn, first - 1)
    const { seq } = await answer('an answer to SYN')
    ack = seq + 1
    send(ACK, first)
    return {
      send,
      /** The first segment that fits; all are acknowledged by what is sent next. */
      until: async (fits: (segment: ReturnType<typeof segmentOf>) => boolean, what: string) => {
        for (;;) {
          const segment = await answer(what)
          ack = Math.max(ack, segment.seq + segment.data.length + (segment.flags & fin))
          if (fits(segment)) return segment
        }
      },
    }
  }

  async function isUnharmed() {
    await neighbour.ping('10.0.2.2', lastPort & 255)
    await attacker.ping('10.0.2.2', lastPort & 255)
    assert.equal((await lab.facts()).restarts, 0)
  }

  for (const family of families) {
    const { name, forbidden } = family

    it(`by data that wait and end on it does not end libslirp (${name})`, async () => {
      const { send, until } = await open(family, forbidden - 20)
      send(ACK, forbidden - 10, new Uint8Array(10))
      send(ACK, forbidden - 20, new Uint8Array(10))
      await until(({ flags }) => (flags & rst) !== 0, 'a reset')
      await isUnharmed()
    })

    it(`by a FIN on it after the other end's does not end libslirp (${name})`, async () => {
      const { send, until } = await open(family, forbidden - 1)
      send(ACK, forbidden - 2, Buffer.from('x!').subarray(0, 1))
      send(ACK, forbidden - 1, Buffer.from('!'))
      send(ACK | fin, forbidden)
      await until(({ flags }) => (flags & rst) !== 0, 'a reset')
      await isUnharmed()
    })

    it(`by data that libslirp cuts to its window on it do not end libslirp (${name})`, async () => {
      for (const window of [BUFFER, BUFFER + FULL - (BUFFER % FULL), 65_535]) {
        const first = forbidden - window
        const { send } = await open(family, first)
        send(ACK, forbidden - 10, new Uint8Array(20))
        for (let sent = 0; sent < window - 10; sent += FULL) {
          send(ACK, first + sent, new Uint8Array(Math.min(FULL, window - 10 - sent)))
        }
        send(ACK, forbidden - 10, new Uint8Array(10))
      }
      await isUnharmed()
    })

    it(`is an upload that crosses it and arrives whole, with losses and in any order (${name})`, async () => {
      const first = forbidden - 1000
      const { send, until } = await open(family, first)
      // Of four pieces the third crosses the number; the second is late.
      const lengths = [400, 300, 700, 200]
      const places = lengths.map((_, i) => first + lengths.slice(0, i).reduce((sum, length) => sum + length, 0))
      for (const i of [0, 2, 3, 1, 2]) send(ACK, places[i] as number, new Uint8Array(lengths[i] as number))
      send(ACK | fin, first + 1600)
      const { data } = await until(segment => segment.data.length > 0, 'the number of bytes')
      assert.equal(Buffer.from(data).toString(), '1600')
      await isUnharmed()
    })
  }
})

/** By which libslirp learns the guest's MAC address (RFC 4861 section 4.3). */
function solicitation(source: Uint8Array, target: Uint8Array): Uint8Array {
  const message = Buffer.concat([
    Uint8Array.of(135, 0, 0, 0, 0, 0, 0, 0),
    target,
    Uint8Array.of(1, 1),
    Buffer.from(ALICE.replaceAll(':', ''), 'hex'),
  ])
  const packet = Uint8Array.from(ip(source, target, protocol.icmpv6, message))
  packet[7] = 255
  return ethernet(GATEWAY_MAC_6, ALICE, etherType.ipv6, packet)
}
