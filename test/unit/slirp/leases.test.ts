import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Leases, LeaseWatch, requestFrame } from '#src/slirp/leases.js'
import { eventually } from '../../support/eventually.js'
import { ALICE } from '../../support/frames.js'
import { bytes4, dhcp, dhcpOptions, ethernet, etherType, ip, packetOf, protocol, udp } from '../../support/packets.js'
import { SlirpNetwork, slirpNeeds } from '../../support/slirp-guest.js'

const GATEWAY = '52:55:0a:00:02:02'

describe('the leases of a slirp process that dies', { ...slirpNeeds(), timeout: 60_000 }, () => {
  it('are there again: guests keep their addresses, and no other guest gets them, in whatever order they ask', async () => {
    const network = await SlirpNetwork.start()
    try {
      const [first, second] = [1, 2].map(n => network.guest(`52:54:00:00:00:0${n}`))
      assert.ok(first !== undefined && second !== undefined)
      await first.dhcp()
      await second.dhcp()
      assert.deepEqual([first.address, second.address], ['10.0.2.15', '10.0.2.16'])
      process.kill(network.process.pid as number, 'SIGKILL')
      await eventually(
        () => network.restarts.length,
        count => count === 1,
        'it runs again',
        15_000,
      )
      const stranger = network.guest('52:54:00:00:00:03')
      await stranger.dhcp()
      assert.equal(stranger.address, '10.0.2.17')
      await second.dhcp()
      await first.dhcp()
      assert.deepEqual([first.address, second.address], ['10.0.2.15', '10.0.2.16'])
    } finally {
      await network.close()
    }
  })

  it('are entered without a frame to the guests', async () => {
    const network = await SlirpNetwork.start()
    try {
      const guest = network.guest('52:54:00:00:00:01')
      await guest.dhcp()
      process.kill(network.process.pid as number, 'SIGKILL')
      await eventually(
        () => network.restarts.length,
        count => count === 1,
        'it runs again',
        15_000,
      )
      await assert.rejects(
        guest.next(frame => (packetOf(frame)?.protocol === protocol.udp ? true : null), 'an answer to DHCP', 100),
        /not within/,
      )
      // It asks for no address, and has one.
      await guest.ping('10.0.2.2', 1)
    } finally {
      await network.close()
    }
  })
})

describe('leases', () => {
  const frame = (mac: string, type: number, address: string) => {
    const message = Buffer.from(dhcp(type, mac, []))
    message.set(bytes4(address), 16)
    return ethernet(
      mac,
      GATEWAY,
      etherType.ipv4,
      ip(bytes4('10.0.2.2'), bytes4(address), protocol.udp, udp(67, 68, message)),
    )
  }

  it('are seen in acknowledgements, each once', () => {
    const seen: string[] = []
    const watch = new LeaseWatch(({ mac, address }) => seen.push(`${mac} ${address}`))
    const look = (bytes: Uint8Array) => watch.look(Buffer.concat([Buffer.alloc(7), bytes]), 7, bytes.length)
    for (const type of [2, 5, 5, 6]) look(frame(ALICE, type, '10.0.2.15'))
    assert.deepEqual(seen, [`${ALICE} 10.0.2.15`])
  })

  it('are asked for as a client asks', () => {
    const packet = packetOf(requestFrame({ mac: ALICE, address: '10.0.2.20' }))
    const options = dhcpOptions(packet?.payload.subarray(8) as Uint8Array)
    assert.deepEqual([options.get(53)?.[0], [...(options.get(50) ?? [])]], [3, [10, 0, 2, 20]])
  })

  it('are remembered only where the interface can have given them, whatever the process says', () => {
    const leases = new Leases('10.0.2.15')
    const ok = { mac: '52:54:00:00:00:0A', address: '10.0.2.15' }
    assert.equal(leases.remember(ok), true)
    for (const lease of [
      { mac: ALICE, address: '10.0.2.14' },
      { mac: ALICE, address: '10.0.2.31' },
      { mac: ALICE, address: 'x' },
      { mac: 'x', address: '10.0.2.16' },
      { mac: 1, address: {} },
      null,
    ]) {
      assert.equal(leases.remember(lease as never), false)
    }
    assert.deepEqual(leases.list(), [{ mac: '52:54:00:00:00:0a', address: '10.0.2.15' }])
  })
})
