/** What is particular to udp; the rest is in test/conformance. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { UdpPeersConfig } from '#src/config/config.js'
import { OperatorError } from '#src/errors.js'
import { TunnelRig } from '../../conformance/tunnel-rig.js'
import { ALICE, BOB, BROADCAST, CAROL, frame } from '../../support/frames.js'
import { freeUdpPort, UdpPeer } from '../../support/udp-peer.js'
import { until } from '../../support/until.js'

const options = { maxFrameSize: 65_550, queueFrames: 512 }

async function withRig(test: (rig: TunnelRig, bind: (host?: string) => UdpPeer) => Promise<void>): Promise<void> {
  const rig = new TunnelRig('single', '127.0.0.1', options)
  const peers: UdpPeer[] = []
  const bind = (host = '127.0.0.1') => {
    const peer = UdpPeer.bind(`${host}:0`, { maxFrameSize: 65_600 })
    peers.push(peer)
    return peer
  }
  await rig.dataPlane.start()
  try {
    await test(rig, bind)
  } finally {
    for (const peer of peers) peer.close()
    await rig.stop()
  }
}

const portsOf = (rig: TunnelRig) => [...rig.dataPlane.ports.values()]
const labels = (rig: TunnelRig) =>
  portsOf(rig)
    .filter(({ up }) => up)
    .map(({ name, peer }) => [name, peer])

describe('udp with configured peers', () => {
  it('has a port for each from the start, and counts and ignores strangers', () =>
    withRig(async (rig, bind) => {
      const [alice, bob, stranger] = [bind(), bind(), bind()]
      await rig.attach(rig.peersConfig({ peers: [alice.address, bob.address] }))
      for (const peer of [alice, bob, stranger]) peer.sendTo(rig.whereIs())
      assert.deepEqual(labels(rig), [
        ['udp:1', alice.address],
        ['udp:2', bob.address],
      ])
      await stranger.send([frame(BROADCAST, CAROL), frame(ALICE, CAROL), new Uint8Array(0)])
      await until(() => rig.drops().stranger === 3, 'all three are counted')
      await alice.send(frame(BROADCAST, ALICE, 61))
      assert.equal((await bob.receive()).length, 61)
      assert.deepEqual([alice.receiveNow(), stranger.receiveNow()], [[], []])
    }))

  it('names the port of an only peer like the transport', () =>
    withRig(async (rig, bind) => {
      const alice = bind()
      await rig.attach(rig.peersConfig({ name: 'wire', peers: [alice.address] }))
      assert.deepEqual(labels(rig), [['wire', alice.address]])
    }))

  it('takes peers by name', () =>
    withRig(async (rig, bind) => {
      const alice = bind()
      const port = alice.address.split(':')[1]
      await rig.attach(rig.peersConfig({ peers: [`localhost:${port}`] }))
      assert.deepEqual(labels(rig), [['udp', alice.address]])
    }))

  it('refuses names without an address, and two names for one', () =>
    withRig(async rig => {
      await assert.rejects(
        () => rig.attach(rig.peersConfig({ peers: ['no-such-host.invalid:7001'] })),
        (error: Error) =>
          error instanceof OperatorError && /"no-such-host.invalid" has no IPv4 address/.test(error.message),
      )
      await assert.rejects(
        () => rig.attach(rig.peersConfig({ peers: ['127.0.0.1:7001', 'localhost:7001'] })),
        (error: Error) => error.message === '"127.0.0.1:7001" and "localhost:7001" are both 127.0.0.1:7001',
      )
    }))

  it('refuses an address that is taken or is not here, in one sentence', () =>
    withRig(async (rig, bind) => {
      const taken = bind()
      const attempt = (listen: string) => rig.attach(rig.peersConfig({ listen, peers: ['127.0.0.1:9'] }))
      await assert.rejects(() => attempt(taken.address), { message: `${taken.address} is in use by another socket` })
      await assert.rejects(() => attempt('203.0.113.1:7000'), {
        message: '203.0.113.1:7000 is not an address of this machine',
      })
    }))

  it('counts a frame that fits no datagram as oversize, and sends the next', () =>
    withRig(async (rig, bind) => {
      // Loopback's 65,536 bytes carry 65,507 over IPv4, and 65,488 over IPv6.
      const alice = bind()
      const bob = UdpPeer.bind('[::1]:0', { maxFrameSize: 65_600 })
      try {
        await rig.attach(rig.peersConfig({ peers: [alice.address] }))
        await rig.attach(rig.peersConfig({ name: 'six', listen: '[::1]:0', peers: [bob.address] }))
        alice.sendTo(rig.whereIs())
        bob.sendTo(rig.whereIs('six'))
        const frames = [65_488, 65_489, 65_507, 70].map(length => frame(BOB, ALICE, length))
        await alice.send(frames)
        assert.deepEqual(
          (await bob.receiveMany(2)).map(({ length }) => length),
          [65_488, 70],
        )
        const six = portsOf(rig).find(({ name }) => name === 'six')
        const { transmitDrops } = rig.dataPlane.counters.readPort(six?.index as number)
        assert.deepEqual([transmitDrops.oversize, transmitDrops.error], [2, 0])
      } finally {
        bob.close()
      }
    }))

  it('changes its peers without closing the socket', () =>
    withRig(async (rig, bind) => {
      const [alice, bob, carol] = [bind(), bind(), bind()]
      const transport = await rig.attach(rig.peersConfig({ peers: [alice.address, bob.address] }))
      const [first] = portsOf(rig)
      const next = rig.peersConfig({ peers: [alice.address, carol.address] })
      assert.ok(transport.canBecome(next))
      transport.update(next)
      await until(() => labels(rig).some(([, peer]) => peer === carol.address), 'Carol has a port')
      assert.deepEqual(labels(rig), [
        ['udp:1', alice.address],
        ['udp:3', carol.address],
      ])
      assert.equal(portsOf(rig)[0]?.id, first?.id, 'Alice was not disturbed')
      assert.ok(!transport.canBecome(rig.peersConfig({ peers: [alice.address] })), 'its port would have another name')
      assert.ok(!transport.canBecome({ ...next, listen: '127.0.0.1:1' } as UdpPeersConfig))
    }))
})

describe('udp with learned peers', () => {
  const learning = { learnPeers: true, allowedSources: ['127.0.0.1'], maxPeers: 2 }

  it('takes in who is allowed, up to its limit, and nobody else', () =>
    withRig(async (rig, bind) => {
      await rig.attach(rig.peersConfig(learning))
      const [alice, bob, carol, stranger] = [bind(), bind(), bind(), bind('127.0.0.2')]
      for (const peer of [alice, bob, carol, stranger]) peer.sendTo(rig.whereIs())
      await alice.send(frame(BROADCAST, ALICE))
      await until(() => labels(rig).length === 1, 'Alice has a port')
      await bob.send(frame(BROADCAST, BOB))
      await alice.receive()
      await until(() => labels(rig).length === 2, 'Bob has a port')
      await carol.send(frame(BROADCAST, CAROL))
      await stranger.send([frame(BROADCAST, CAROL), frame(BROADCAST, CAROL)])
      await until(() => rig.drops().stranger === 2 && rig.drops()['peer-limit'] === 1, 'they are counted')
      assert.deepEqual(labels(rig), [
        ['udp:1', alice.address],
        ['udp:2', bob.address],
      ])
    }))

  it('gives the place of one that fell silent to a new one', () =>
    withRig(async (rig, bind) => {
      await rig.attach(rig.peersConfig({ ...learning, maxPeers: 1, peerTimeoutSeconds: 1 }))
      const [alice, bob] = [bind(), bind()]
      for (const peer of [alice, bob]) peer.sendTo(rig.whereIs())
      await alice.send(frame(BROADCAST, ALICE))
      await until(() => labels(rig).length === 1, 'Alice has a port')
      await until(() => labels(rig).length === 0, 'she fell silent')
      await bob.send(frame(BROADCAST, BOB))
      await until(() => labels(rig)[0]?.[1] === bob.address, 'Bob has a port')
      assert.equal(portsOf(rig).length, 1)
    }))

  it('makes a learned peer a configured one when the configuration names it', () =>
    withRig(async (rig, bind) => {
      const transport = await rig.attach(rig.peersConfig(learning))
      const alice = bind()
      alice.sendTo(rig.whereIs())
      await alice.send(frame(BROADCAST, ALICE))
      await until(() => labels(rig).length === 1, 'Alice has a port')
      transport.update(rig.peersConfig({ ...learning, peers: [alice.address] }))
      await until(() => labels(rig)[0]?.[0] === 'udp:2', 'she has another one')
      assert.equal(labels(rig).length, 1)
    }))
})

describe('udp with a multicast group', () => {
  it('reaches every member, and does not take its own frames for theirs', () =>
    withRig(async rig => {
      const port = freeUdpPort()
      const group = `239.255.78.1:${port}`
      await rig.attach(rig.groupConfig({ group }))
      const members = [UdpPeer.join(group), UdpPeer.join(group)]
      const [alice] = members as [UdpPeer, UdpPeer]
      const other = UdpPeer.bind('127.0.0.1:0')
      try {
        await rig.attach(rig.peersConfig({ peers: [other.address] }))
        other.sendTo(rig.whereIs())
        await other.send(frame(BROADCAST, CAROL, 90))
        for (const member of members) assert.equal((await member.receive()).length, 90)
        await until(() => rig.drops(0).own === 1, 'our own copy is counted')
        await alice.send(frame(CAROL, ALICE, 91))
        assert.equal((await other.receive()).length, 91)
        for (const member of members) assert.equal((await member.receive()).length, 91)
        const [record] = portsOf(rig)
        assert.deepEqual([record?.name, record?.peer, record?.up], ['group', group, true])
        assert.equal(rig.dataPlane.counters.readPort(record?.index as number).receiveFrames, 1)
      } finally {
        for (const peer of [...members, other]) peer.close()
      }
    }))

  it('hears only its group', () =>
    withRig(async rig => {
      const port = freeUdpPort()
      await rig.attach(rig.groupConfig({ group: `239.255.78.2:${port}` }))
      const elsewhere = UdpPeer.join(`239.255.78.3:${port}`)
      const here = UdpPeer.join(`239.255.78.2:${port}`)
      try {
        await elsewhere.send(frame(BROADCAST, ALICE))
        await here.send(frame(BROADCAST, BOB))
        const [record] = portsOf(rig)
        const counters = () => rig.dataPlane.counters.readPort(record?.index as number)
        await until(() => counters().receiveFrames === 1, 'what the member of the group sent is here')
        await here.send(frame(BROADCAST, BOB))
        await until(() => counters().receiveFrames === 2, 'and nothing else')
      } finally {
        elsewhere.close()
        here.close()
      }
    }))

  it('refuses an interface that does not exist', () =>
    withRig(async rig => {
      await assert.rejects(() => rig.attach(rig.groupConfig({ interface: 'nope0' })), {
        message: 'there is no interface "nope0"',
      })
    }))
})
