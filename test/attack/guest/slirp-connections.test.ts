/**
 * A guest opens as many connections and datagram flows as it can, in the ways that were once not counted. Another guest
 * gets its own.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { parseIpv6 } from '#src/wire/ip-address.js'
import { eventually } from '../../support/eventually.js'
import { ALICE, BOB } from '../../support/frames.js'
import {
  bytes4,
  dhcp,
  ethernet,
  etherType,
  ip,
  packetOf,
  protocol,
  segmentOf,
  tcp,
  tcpFlag,
  udp,
} from '../../support/packets.js'
import { scale } from '../../support/scale.js'
import type { SlirpGuest } from '../../support/slirp-guest.js'
import { SlirpLab, silentServer, slirpLabSkip } from '../../support/slirp-lab.js'

const MAX_CONNECTIONS = 64
/** A guest alone may have four fifths. */
const SHARE = 52
const FLOWS = 1500 * scale
const GATEWAY_6 = '52:56:00:00:00:02'

describe('connections from a guest', { skip: slirpLabSkip, timeout: 60_000 }, () => {
  let lab: SlirpLab
  let attacker: SlirpGuest
  let neighbour: SlirpGuest
  let port: number

  beforeEach(async () => {
    lab = await SlirpLab.open({ maxConnections: MAX_CONNECTIONS })
    port = await lab.server(silentServer)
    attacker = lab.guest(ALICE)
    neighbour = lab.guest(BOB)
    await attacker.dhcp()
  })

  afterEach(() => lab?.close())

  async function assertContained(): Promise<void> {
    await neighbour.dhcp()
    await neighbour.connect(bytes4('10.0.2.2'), port)
    const { connections, restarts } = await lab.facts()
    assert.ok(connections <= MAX_CONNECTIONS, `${connections}`)
    assert.equal(restarts, 0)
    const { findings } = await eventually(
      () => lab.api<{ findings: { code: string; message: string }[] }>('/v1/findings'),
      ({ findings: all }) => all.some(({ code }) => code === 'slirp-connections-full'),
      'the operator is told',
    )
    const told = findings.find(({ code }) => code === 'slirp-connections-full')
    assert.match(told?.message as string, new RegExp(`guest ${ALICE} has its share`))
  }

  it('are bounded where they are datagrams to the ports of DHCP, of any address', async () => {
    const guest6 = parseIpv6('fd00::15') as Uint8Array
    const message = dhcp(1, ALICE)
    for (let i = 0; i < FLOWS; i++) {
      const from = 1024 + (i % 60_000)
      const to = i % 2 === 0 ? '192.0.2.1' : '10.0.2.3'
      attacker.sendIp(bytes4(to), protocol.udp, udp(from, 67, message))
      const to6 = parseIpv6('2001:db8::1') as Uint8Array
      const packet = ip(guest6, to6, protocol.udp, udp(from, 547, Uint8Array.of(11, 1, 2, 3)))
      attacker.sendFrame(ethernet(GATEWAY_6, ALICE, etherType.ipv6, packet))
    }
    await attacker.ping('10.0.2.2', 1)
    assert.ok(lab.udpSockets() <= MAX_CONNECTIONS, `${lab.udpSockets()} UDP sockets`)
    await assertContained()
  })

  it('are bounded where they are TCP, closed by the guest and kept by the other end', async () => {
    let opened = 0
    for (let from = 20_000; from < 20_000 + MAX_CONNECTIONS * 2; from++) {
      const segment = (fields: { seq: number; ack?: number; flags: number }) =>
        attacker.sendIp(bytes4('10.0.2.2'), protocol.tcp, tcp({ from, to: port, ...fields }))
      segment({ seq: 1, flags: tcpFlag.syn })
      const answer = await attacker.next(frame => synAckTo(frame, from), 'SYN and ACK', 300).catch(() => null)
      if (answer === null) break
      segment({ seq: 2, ack: answer.seq + 1, flags: tcpFlag.ack })
      segment({ seq: 2, ack: answer.seq + 1, flags: tcpFlag.ack | tcpFlag.fin })
      opened++
    }
    assert.equal(opened, SHARE)
    await assertContained()
  })
})

function synAckTo(frame: Uint8Array, port: number) {
  const packet = packetOf(frame)
  if (packet?.protocol !== protocol.tcp) return null
  const segment = segmentOf(packet.payload)
  return segment.to === port && (segment.flags & tcpFlag.syn) !== 0 ? segment : null
}
