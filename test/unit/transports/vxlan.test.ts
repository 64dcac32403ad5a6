/** What is particular to vxlan; the rest is in test/conformance. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { VxlanConfig } from '#src/config/config.js'
import { VXLAN_PORT, vxlanHeader } from '#src/wire/vxlan.js'
import { TunnelRig } from '../../conformance/tunnel-rig.js'
import { ALICE, BOB, BROADCAST, bytesOf, CAROL, frame } from '../../support/frames.js'
import { UdpPeer } from '../../support/udp-peer.js'
import { until } from '../../support/until.js'

const VNI = 42
const options = { maxFrameSize: 1518, queueFrames: 512 }

interface Bench {
  rig: TunnelRig
  /** A VTEP at 127.0.0.`host`, on the fabric's port. */
  vtep(host: number, vni?: number): UdpPeer
  /** The guests' side of the switch: a peer of a udp transport. */
  guest(): Promise<UdpPeer>
}

async function withBench(test: (bench: Bench) => Promise<void>): Promise<void> {
  const rig = new TunnelRig('vxlan', '127.0.0.1', options)
  const peers: UdpPeer[] = []
  const keep = (peer: UdpPeer) => {
    peers.push(peer)
    return peer
  }
  const port = () => rig.vtep.split(':')[1]
  await rig.dataPlane.start()
  try {
    await test({
      rig,
      vtep: (host, vni = VNI) =>
        keep(UdpPeer.bind(`127.0.0.${host}:${port()}`, { sendTo: rig.vtep, header: vxlanHeader(vni) })),
      guest: async () => {
        const guest = keep(UdpPeer.bind('127.0.0.1:0'))
        const name = `guest${peers.length}`
        await rig.attach(rig.peersConfig({ name, peers: [guest.address] }))
        guest.sendTo(rig.whereIs(name))
        return guest
      },
    })
  } finally {
    for (const peer of peers) peer.close()
    await rig.stop()
  }
}

const remote = (rig: TunnelRig, host: number) => `127.0.0.${host}:${rig.vtep.split(':')[1]}`
const fabric = (rig: TunnelRig, hosts: number[], more: Partial<VxlanConfig> = {}) =>
  rig.attach(rig.vxlanConfig({ remotes: hosts.map(host => remote(rig, host)), ...more }))
const portNamed = (rig: TunnelRig, name: string) => [...rig.dataPlane.ports.values()].find(port => port.name === name)

describe('vxlan towards its remotes', () => {
  it('floods to all of them, and sends what is known to one', () =>
    withBench(async ({ rig, vtep, guest }) => {
      const [one, two, three] = [vtep(2), vtep(3), vtep(4)]
      await fabric(rig, [2, 3, 4])
      const alice = await guest()
      await alice.send([frame(BROADCAST, ALICE, 60), frame('01:00:5e:00:00:09', ALICE, 61), frame(BOB, ALICE, 62)])
      for (const each of [one, two, three]) {
        assert.deepEqual(
          (await each.receiveMany(3)).map(({ length }) => length),
          [60, 61, 62],
        )
      }
      await two.send(frame(ALICE, BOB, 63))
      assert.equal((await alice.receive()).length, 63)
      await alice.send([frame(BOB, ALICE, 64), frame(BROADCAST, ALICE, 65)])
      assert.deepEqual(
        (await two.receiveMany(2)).map(({ length }) => length),
        [64, 65],
      )
      for (const each of [one, three]) assert.equal((await each.receive()).length, 65)
    }))

  it('sends exact headers, to the port of the fabric, from a port that follows the flow', () =>
    withBench(async ({ rig, guest }) => {
      const raw = UdpPeer.bind(remote(rig, 2))
      try {
        await fabric(rig, [2], { sourcePorts: 8 })
        const alice = await guest()
        const flows = Array.from({ length: 32 }, (_, i) => frame(BROADCAST, `02:00:00:00:03:${16 + i}`))
        await alice.send([...flows, ...flows])
        const got = await raw.receiveDatagrams(64)
        for (const { bytes } of got) {
          assert.equal(Buffer.from(bytes.subarray(0, 8)).toString('hex'), '0800000000002a00')
        }
        const ports = got.map(({ from }) => from)
        assert.deepEqual(ports.slice(32), ports.slice(0, 32), 'a flow keeps its port')
        assert.ok(new Set(ports).size >= 4 && !ports.includes(rig.vtep), [...new Set(ports)].join(' '))
      } finally {
        raw.close()
      }
    }))

  it('sends from the port it listens on where that is asked for', () =>
    withBench(async ({ rig, vtep, guest }) => {
      const one = vtep(2)
      await fabric(rig, [2], { sourcePorts: 0 })
      await (await guest()).send(frame(BROADCAST, ALICE))
      assert.deepEqual(
        (await one.receiveDatagrams(1)).map(({ from }) => from),
        [rig.vtep],
      )
    }))

  it('follows a station that moves, at once', () =>
    withBench(async ({ rig, vtep, guest }) => {
      const [one, two] = [vtep(2), vtep(3)]
      await fabric(rig, [2, 3])
      const alice = await guest()
      await one.send(frame(BROADCAST, BOB))
      await alice.receive()
      await two.send(frame(BROADCAST, BOB))
      await alice.receive()
      await alice.send([frame(BOB, ALICE, 70), frame(BROADCAST, ALICE, 71)])
      assert.deepEqual(
        (await two.receiveMany(2)).map(({ length }) => length),
        [70, 71],
      )
      assert.equal((await one.receive()).length, 71)
    }))

  it('leaves out a remote that cannot be reached, and counts the copies', () =>
    withBench(async ({ rig, vtep, guest }) => {
      const one = vtep(2)
      // The limited broadcast address: sending there is refused without SO_BROADCAST.
      await rig.attach(rig.vxlanConfig({ remotes: ['255.255.255.255:4789', remote(rig, 2)] }))
      const alice = await guest()
      await alice.send([frame(BROADCAST, ALICE, 60), frame(BROADCAST, ALICE, 61)])
      assert.deepEqual(
        (await one.receiveMany(2)).map(({ length }) => length),
        [60, 61],
      )
      await until(() => rig.drops(0).copy === 2, 'two copies are counted')
      const counters = rig.dataPlane.counters.readPort(portNamed(rig, 'fabric')?.index as number)
      assert.deepEqual([counters.transmitFrames, counters.transmitDrops.error], [2, 0])
    }))
})

describe('vxlan from its remotes', () => {
  it('sends nothing on from one remote to another', () =>
    withBench(async ({ rig, vtep, guest }) => {
      const [one, two] = [vtep(2), vtep(3)]
      await fabric(rig, [2, 3])
      const alice = await guest()
      await two.send(frame(BROADCAST, BOB, 60))
      await alice.receive()
      await one.send([frame(BROADCAST, CAROL, 61), frame(BOB, CAROL, 62), frame(ALICE, CAROL, 63)])
      assert.deepEqual(
        (await alice.receiveMany(2)).map(({ length }) => length),
        [61, 63],
      )
      const counters = () => rig.dataPlane.counters.readPort(portNamed(rig, 'fabric')?.index as number)
      assert.equal(counters().receiveDrops['same-port'], 1)
      await alice.send(frame(BROADCAST, ALICE, 64))
      for (const each of [one, two]) assert.equal((await each.receive()).length, 64)
    }))

  it('counts what is not its own, and why', () =>
    withBench(async ({ rig, vtep, guest }) => {
      const [one, other, stranger] = [vtep(2), UdpPeer.bind('127.0.0.2:0'), vtep(5)]
      try {
        await fabric(rig, [2])
        const alice = await guest()
        other.sendTo(rig.vtep)
        const bytes = (header: string) => Uint8Array.from([...bytesOf(header), ...frame(BROADCAST, BOB)])
        const wrong = ['0c00000000002a00', '0000000000002a00', '0801000000002a00', '0800000000002a01'].map(bytes)
        await other.send([...wrong, bytesOf('08000000'), new Uint8Array(0), bytes('0800000000002b00')])
        await stranger.send([frame(BROADCAST, BOB), frame(ALICE, BOB)])
        await one.send(frame(BROADCAST, CAROL, 77))
        assert.equal((await alice.receive()).length, 77)
        await until(() => rig.drops(0).stranger === 2, 'strangers are counted')
        assert.deepEqual([rig.drops(0)['tunnel-header'], rig.drops(0)['unknown-vni']], [6, 1])
      } finally {
        other.close()
      }
    }))

  it('knows a remote whatever its source port', () =>
    withBench(async ({ rig, guest }) => {
      const other = UdpPeer.bind('127.0.0.2:0', { header: vxlanHeader(VNI) })
      try {
        await fabric(rig, [2])
        other.sendTo(rig.vtep)
        const alice = await guest()
        await other.send(frame(BROADCAST, BOB, 66))
        assert.equal((await alice.receive()).length, 66)
      } finally {
        other.close()
      }
    }))

  it('takes in remotes that are allowed, answers at the port of the fabric, and forgets who is silent', () =>
    withBench(async ({ rig, vtep, guest }) => {
      const learning = {
        learnRemotes: true,
        allowedSources: ['127.0.0.2/31'],
        maxRemotes: 2,
        remoteTimeoutSeconds: 300,
      }
      const transport = await fabric(rig, [], learning)
      const alice = await guest()
      assert.equal(portNamed(rig, 'fabric')?.up, false, 'down while there is no remote')
      const [one, stranger] = [vtep(2), vtep(4)]
      const ephemeral = UdpPeer.bind('127.0.0.2:0', { sendTo: rig.vtep, header: vxlanHeader(VNI) })
      try {
        await ephemeral.send(frame(BROADCAST, BOB))
        await alice.receive()
        await alice.send(frame(BOB, ALICE, 88))
        assert.equal((await one.receive()).length, 88)
        await stranger.send(frame(BROADCAST, CAROL))
        await until(() => rig.drops(0).stranger === 1, 'a stranger is counted')
        await until(
          () => JSON.stringify(transport.facts?.().learnedRemotes) === JSON.stringify([remote(rig, 2)]),
          'it is known',
        )
        transport.update(rig.vxlanConfig({ ...learning, remoteTimeoutSeconds: 1 }))
        await until(() => portNamed(rig, 'fabric')?.up === false, 'the port is down again')
        await until(() => JSON.stringify(transport.facts?.()['learnedRemotes']) === '[]', 'nobody is known')
      } finally {
        ephemeral.close()
      }
    }))
})

describe('vxlan networks on one socket', () => {
  it('are apart, and go on when the one that reads for all is closed', () =>
    withBench(async ({ rig, vtep, guest }) => {
      const red = vtep(2, 1)
      await fabric(rig, [2], { name: 'red', vni: 1 })
      await fabric(rig, [3], { name: 'blue', vni: 2 })
      const blue = vtep(3, 2)
      const alice = await guest()
      await red.send(frame(BROADCAST, BOB, 60))
      await blue.send(frame(BROADCAST, CAROL, 61))
      assert.deepEqual((await alice.receiveMany(2)).map(({ length }) => length).sort(), [60, 61])
      await rig.dataPlane.detach('red')
      await rig.transport('red').close()
      await red.send(frame(BROADCAST, BOB, 62))
      await blue.send(frame(BROADCAST, CAROL, 63))
      assert.equal((await alice.receive()).length, 63)
      await until(() => rig.drops(1)['unknown-vni'] === 1, 'what was red is counted now')
      await fabric(rig, [2], { name: 'green', vni: 1 })
      await red.send(frame(BROADCAST, BOB, 64))
      assert.equal((await alice.receive()).length, 64)
    }))

  it('agree on what the socket is like', () =>
    withBench(async ({ rig }) => {
      await fabric(rig, [2], { name: 'red', vni: 1, sourcePorts: 1 })
      await assert.rejects(() => fabric(rig, [2], { name: 'blue', vni: 2, sourcePorts: 2 }), {
        message: `${rig.vtep} is shared with another network, whose fragment and sourcePorts must be the same`,
      })
    }))

  it('show what fits through', () =>
    withBench(async ({ rig }) => {
      const transport = await fabric(rig, [2])
      const { overheadBytes, guestMtu } = transport.facts?.() ?? {}
      assert.deepEqual([overheadBytes, guestMtu], [50, 1500])
      assert.equal(VXLAN_PORT, 4789)
    }))
})
