/** What a peer may do to a switch, by accident or on purpose, and what it must not be able to do to the others. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { PortView } from '#src/control/view.js'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, BROADCAST, CAROL, frame, putMac } from '../support/frames.js'
import { type KillablePeer, startPeer } from '../support/killable-peer.js'
import { Lab } from '../support/lab.js'
import { numbered, numberOf, sourceOf } from '../support/numbered.js'
import { RawPeer } from '../support/raw-peer.js'

const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock' }

describe('a switch with misbehaving peers', { timeout: 120_000 }, () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.open()
  })

  afterEach(() => lab.close())

  for (const [style, mode] of [
    ['qemu', 'many'],
    ['vfkit', 'many'],
    ['qemu', 'one'],
    ['vfkit', 'one'],
  ] as const) {
    it(`gives a ${style} peer that was killed its port back (peers: ${mode})`, async () => {
      const running = await lab.startSwitch({
        transports: [vms, { name: 'vm1', type: 'unixgram', listen: 'vm1.sock', peers: 'one' }],
      })
      const { api } = running
      const listen = lab.path(mode === 'many' ? 'vms.sock' : 'vm1.sock')
      const path = lab.path('bob.sock')
      const options = style === 'qemu' ? { sendTo: listen } : { connectTo: listen, handshake: 'vfkit' as const }
      const startBob = async (): Promise<KillablePeer> => {
        const started = await startPeer({ path, mac: BOB, options })
        lab.onClose(started.kill9)
        return started
      }

      const alice = lab.qemu('alice.sock', 'vms.sock')
      await alice.send(frame(BROADCAST, ALICE))
      const bob = await startBob()
      assert.equal(sourceOf(await alice.receive()), BOB)
      await alice.send(frame(BOB, ALICE))
      assert.equal(sourceOf(await alice.receive()), BOB)
      const before = await api.portOf(path)
      assert.equal(before.counters.receiveFrames, 2)

      await bob.kill9()
      const gone = await api.portWhen(before.id, port => !port.up, 'the port of the killed peer is down')
      assert.equal(gone.peer, null)
      await eventually(
        () => api.fdb(),
        entries => entries.every(({ mac }) => mac !== BOB),
        'its addresses are forgotten',
      )

      const again = await startBob()
      assert.equal(sourceOf(await alice.receive()), BOB)
      await alice.send(frame(BOB, ALICE))
      assert.equal(sourceOf(await alice.receive()), BOB)
      const after = await api.portOf(path)
      assert.deepEqual([after.id, after.name, after.up], [before.id, before.name, true])
      assert.equal(after.counters.receiveFrames, 4)
      assert.ok(after.counters.transmitFrames >= 2)
      await again.kill9()
    })
  }

  it('counts datagrams that are no frames, and passes none of them on', async () => {
    const running = await lab.startSwitch({ transports: [vms] })
    const { api } = running
    const alice = lab.qemu('alice.sock', 'vms.sock', { maxFrameSize: 66_000, sendBufferBytes: 1 << 20 })
    const bob = lab.qemu('bob.sock', 'vms.sock')
    await alice.send(frame(ALICE, ALICE))
    await bob.send(frame(BOB, BOB))

    const runts = [0, 1, 3, 4, 13].map(length => frame(BROADCAST, ALICE, length))
    const oversize = [1519, 2048, 9014, 65_550].map(length => frame(BROADCAST, ALICE, length))
    await alice.send([...runts, ...oversize])
    await bob.expectSilence(alice, frame(BOB, ALICE, 14))
    await bob.expectSilence(alice, frame(BOB, ALICE, 1518))
    const unbound = RawPeer.unbound({ connectTo: lab.path('vms.sock') })
    await unbound.send(frame(BROADCAST, CAROL))
    unbound.close()
    await bob.expectSilence(alice, frame(BOB, ALICE))

    const { receiveDrops, receiveFrames } = (await api.portOf(alice.path as string)).counters
    assert.deepEqual([receiveDrops.runt, receiveDrops.oversize], [runts.length, oversize.length])
    assert.equal(receiveFrames, 1 + runts.length + oversize.length + 3)
    assert.equal((await api.transport('vms')).drops.unbound, 1)
    assert.equal((await api.ports()).length, 2)
    const metrics = await api.metrics()
    assert.equal(metrics.value('tapswitch_port_receive_drop_total{port="vms:1",reason="runt"}'), runts.length)
    assert.equal(metrics.value('tapswitch_dataplane_restarts_total'), 0)
    await bob.send(frame(ALICE, BOB))
    assert.equal(sourceOf(await alice.receive()), BOB)
  })

  it('keeps an address flood within the share of its port', async () => {
    const sources = 100_000
    const maxEntriesPerPort = 512
    const running = await lab.startSwitch({ switch: { fdb: { maxEntriesPerPort } }, transports: [vms] })
    const { api } = running
    const alice = lab.qemu('alice.sock', 'vms.sock')
    const bob = lab.qemu('bob.sock', 'vms.sock')
    const flooder = lab.vfkit('flooder.sock', 'vms.sock')
    for (const [peer, mac] of [
      [alice, ALICE],
      [bob, BOB],
      [flooder, CAROL],
    ] as const) {
      await peer.send(frame(mac, mac))
      await running.logged(line => line.msg === 'port up' && line.peer === peer.path)
    }

    const chunk = 1000
    const delivered: number[] = []
    for (let first = 0; first < sources; first += chunk) {
      await flooder.send(inventedFrames(first, chunk), 20_000)
      const [number] = [first / chunk]
      await alice.send(numbered(BOB, ALICE, number))
      delivered.push(numberOf(await bob.receive()))
    }
    assert.deepEqual(
      delivered,
      delivered.map((_, i) => i),
    )

    const flooderId = (await api.portOf(flooder.path as string)).id
    const { counters } = await eventually(
      () => api.info(),
      info => info.counters.fdbRefused >= sources + 1 - maxEntriesPerPort,
      'the rest was refused',
    )
    assert.equal(counters.fdbRefused, sources + 1 - maxEntriesPerPort)
    assert.equal(counters.fdbEntries, maxEntriesPerPort + 2)
    const port = await api.port(flooderId)
    assert.equal(port.counters.fdbEntries, maxEntriesPerPort)
    assert.equal(port.counters.receiveFrames, sources + 1)
    assert.equal(port.counters.transmitFrames, 0, 'frames to a known address were not flooded')
    assert.deepEqual(flooder.receiveNow(), [])
    assert.equal((await api.fdb()).filter(({ portId }) => portId === flooderId).length, maxEntriesPerPort)
    const full = running.log.filter(({ finding }) => finding === 'fdb-port-full')
    assert.equal(full.length, 1)
  })

  it('follows an address that two ports claim, and says so once', async () => {
    const running = await lab.startSwitch({ transports: [vms] })
    const { api } = running
    const alice = lab.qemu('alice.sock', 'vms.sock')
    const bob = lab.qemu('bob.sock', 'vms.sock')
    await alice.send(frame(ALICE, ALICE))
    await bob.send(frame(BOB, BOB))
    const moves = 2000
    for (let i = 0; i < moves / 2; i++) {
      await alice.send(numbered(BOB, CAROL, i))
      await bob.send(numbered(ALICE, CAROL, i))
      await Promise.all([alice.receive(), bob.receive()])
    }
    const { counters } = await eventually(
      () => api.info(),
      info => info.counters.fdbMoved >= moves - 1,
      'every move is counted',
    )
    assert.equal(counters.fdbMoved, moves - 1)
    const [entry] = (await api.fdb()).filter(({ mac }) => mac === CAROL)
    assert.equal(entry?.portId, (await api.portOf(bob.path as string)).id)
    const told = running.log.filter(({ finding }) => finding === 'duplicate-mac')
    assert.equal(told.length, 1, JSON.stringify(told))
    assert.match(told[0]?.msg ?? '', new RegExp(CAROL))
  })

  it('serves as many peers as it may, and the next one when one of them is gone', async () => {
    const running = await lab.startSwitch({ transports: [{ ...vms, maxPeers: 3 }] })
    const { api } = running
    const peers = [0, 1, 2, 3].map(i => lab.qemu(`peer${i}.sock`, 'vms.sock'))
    for (const [i, peer] of peers.entries()) await peer.send(frame(BROADCAST, `02:00:00:00:01:0${i}`))
    const { drops } = await eventually(
      () => api.transport('vms'),
      transport => transport.drops['peer-limit'] > 0,
      'the fourth is counted',
    )
    assert.equal(drops['peer-limit'], 1)
    const upNow = (ports: PortView[]) => ports.filter(({ up }) => up).map(({ peer }) => peer)
    assert.deepEqual(upNow(await api.ports()), peers.slice(0, 3).map(({ path }) => path)) // biome-ignore format: one row
    const [first] = await api.ports()

    peers[0]?.close()
    await api.portWhen(first?.id ?? 0, port => !port.up, 'the first is gone')
    await peers[3]?.send(frame(BROADCAST, '02:00:00:00:01:03'))
    const ports = await eventually(
      () => api.ports(),
      all => upNow(all).length === 3,
      'the fourth has a port',
    )
    assert.deepEqual(upNow(ports), peers.slice(1).map(({ path }) => path)) // biome-ignore format: one row
    assert.ok(ports.every(({ id }) => id !== first?.id))
    assert.equal(ports.length, 3)
  })
})

/** Frames from addresses nobody else uses, to Bob's neighbour on the flooder's own port: they go nowhere. */
function inventedFrames(first: number, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const bytes = frame(CAROL, BOB)
    putMac(bytes, 6, 0x06_00_00_00_00_00 + first + i)
    return bytes
  })
}
