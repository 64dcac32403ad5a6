/** One path with many peers, turn by turn and by the test's clock; the sockets are real. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { UnixgramConfig } from '#src/config/config.js'
import { DescriptorShare } from '#src/dataplane/descriptor-budget.js'
import type { EndpointMessage, Event, RestoredPort } from '#src/dataplane/messages.js'
import { type EndpointDropReason, SwitchField } from '#src/dataplane/shared-memory.js'
import { HANDOFF_BURST, MAX_RETIRED, RETIRE_MS } from '#src/transports/unixgram/listening-sockets.js'
import { ManyPeersEndpoint } from '#src/transports/unixgram/many-peers.js'
import type { ManyPeersOptions } from '#src/transports/unixgram/options.js'
import { openUnixgram, type UnixgramTransport } from '#src/transports/unixgram/transport.js'
import { ALICE, BROADCAST, frame } from '../../support/frames.js'
import { RawPeer, type RawPeerOptions } from '../../support/raw-peer.js'
import { RecordedFindings } from '../../support/recorded-findings.js'
import { recordingLogger } from '../../support/recording-logger.js'
import { TurningDataPlane } from '../../support/turning-data-plane.js'

const NAME = 'vms'
const SECOND = 1000
const MAX_PEERS = 4

describe('many peers on one path', () => {
  let folder: string
  let plane: TurningDataPlane
  let transport: UnixgramTransport
  let peers: RawPeer[]
  let upcalls: EndpointMessage[]
  let downcalls: EndpointMessage[]
  const path = () => join(folder, 'vms.sock')
  const findings = new RecordedFindings()

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
    peers = []
    upcalls = []
    downcalls = []
    plane = new TurningDataPlane(1, event => {
      if (event.type === 'endpoint') upcalls.push(event.message)
    })
    const policy = { maxFrameSize: 1518, isolated: false, queueFrames: 64, fdb: { maxEntries: 0, static: [] } }
    const config: UnixgramConfig = {
      ...{ type: 'unixgram', name: NAME, role: 'listen', listen: path(), peers: 'many', maxPeers: MAX_PEERS },
      ...{ port: policy, permissions: 0o600, owner: null, group: null },
    }
    transport = await openUnixgram(config, {
      os: plane.os,
      log: recordingLogger(),
      send: message => void downcalls.push(message),
      findings,
      descriptors: new DescriptorShare(plane.counters, 0, 'control'),
    })
    start([])
  })

  afterEach(() => {
    for (const peer of peers) peer.close()
    plane.stop()
    transport.close()
    rmSync(folder, { recursive: true })
  })

  const start = (ports: RestoredPort[]) =>
    plane.start(1518, [{ ...transport.spec(0), ports }], (spec, host) => new ManyPeersEndpoint(spec, host))

  /** Turns, and carries between the two halves what they say. */
  const turn = (ms = 1) => {
    plane.turn(ms)
    for (let rounds = 0; rounds < 10 && upcalls.length + downcalls.length > 0; rounds++) {
      for (const message of upcalls.splice(0)) transport.message(message)
      for (const message of downcalls.splice(0)) plane.command({ type: 'endpoint', name: NAME, message })
    }
  }
  const bind = (name: string, options: RawPeerOptions): RawPeer => {
    const peer = RawPeer.bind(name, options)
    peers.push(peer)
    return peer
  }
  /** As vfkit: connects, shakes hands, is heard. */
  const connect = (name: string): RawPeer => {
    const peer = bind(join(folder, name), { connectTo: path(), handshake: 'vfkit' })
    turn()
    return peer
  }
  const say = (peer: RawPeer) => {
    assert.equal(peer.sendNow(frame(BROADCAST, ALICE)).error, null)
    turn()
  }
  const leave = (peer: RawPeer) => peer.close({ unlink: true })
  const held = () => plane.counters.endpointDescriptors(0)
  const drops = (reason: EndpointDropReason) => plane.counters.readEndpoint(0)[reason]
  const raised = () =>
    plane.events.flatMap(event => (event.type === 'finding' && event.raised ? [[event.code, event.message]] : []))
  const portEvents = (type: 'port-up' | 'port-down' | 'port-added' | 'port-removed') =>
    plane.events.filter((event): event is Extract<Event, { type: typeof type }> => event.type === type)

  describe('superseded sockets', () => {
    it('are closed RETIRE_MS after their last peer has gone, and not while it is there', () => {
      const alice = connect('alice')
      assert.equal(held(), 1)
      turn(RETIRE_MS + SECOND)
      assert.equal(held(), 1, 'its client is there')
      leave(alice)
      turn(SECOND)
      turn(SECOND)
      assert.equal(held(), 0)
      leave(connect('bob'))
      turn(SECOND)
      turn(SECOND)
      assert.equal(held(), 1, 'it was replaced a moment ago')
      turn(RETIRE_MS)
      assert.equal(held(), 0)
    })

    it('are never more than MAX_RETIRED, however often a client connects anew', () => {
      for (let i = 0; i < 3 * MAX_RETIRED; i++) leave(connect('rogue'))
      turn(SECOND)
      turn(SECOND)
      assert.equal(held(), MAX_RETIRED)
    })

    it('are closed by the next data plane too', () => {
      leave(connect('alice'))
      turn(SECOND)
      assert.equal(held(), 1)
      start([])
      turn(SECOND)
      assert.equal(held(), 1)
      turn(RETIRE_MS)
      turn(SECOND)
      assert.equal(held(), 0)
    })
  })

  it('hands the path over HANDOFF_BURST times at once, and goes on as time passes', () => {
    for (let i = 0; i < HANDOFF_BURST + 20; i++) leave(connect('rogue'))
    const before = held()
    assert.ok(before <= HANDOFF_BURST, `${before} sockets`)
    turn(SECOND)
    assert.ok(raised().some(([code]) => code === 'handoff-limit'))
    const [alice, bob] = [connect('alice'), connect('bob')]
    say(alice)
    say(bob)
    assert.deepEqual([alice.receiveNow().length, bob.receiveNow().length], [1, 1])
  })

  it('serves a peer by its address where there is no descriptor for a socket of its own', () => {
    plane.counters.cells[SwitchField.peerDescriptors] = 1
    const [alice, bob] = ['alice', 'bob'].map(name => bind(join(folder, name), { sendTo: path() })) as [
      RawPeer,
      RawPeer,
    ]
    for (let i = 0; i < 2; i++) for (const peer of [alice, bob]) say(peer)
    assert.deepEqual([alice.receiveNow().length, bob.receiveNow().length], [2, 1])
    assert.equal(held(), 0)
    assert.ok(raised().some(([code]) => code === 'descriptor-limit'))
    turn(SECOND)
    turn(SECOND)
    assert.equal(portEvents('port-down').length, 0, 'it stays up')
  })

  it('gives the place of the peer that has been gone longest to a new one, and refuses it while all are up', () => {
    const all = Array.from({ length: MAX_PEERS }, (_, i) => bind(join(folder, `vm${i}`), { sendTo: path() }))
    for (const peer of all) say(peer)
    const late = bind(join(folder, 'late'), { sendTo: path() })
    say(late)
    assert.equal(drops('peer-limit'), 1)
    assert.ok(raised().some(([code, message]) => code === 'peer-limit' && message?.includes('late')))
    leave(all[2] as RawPeer)
    turn(SECOND)
    leave(all[1] as RawPeer)
    turn(SECOND)
    const ids = portEvents('port-added').map(({ id }) => id)
    say(late)
    assert.deepEqual(
      portEvents('port-removed').map(({ id }) => id),
      [ids[2]],
    )
    // The one that left later still has its place.
    say(bind(join(folder, 'vm1'), { sendTo: path() }))
    assert.equal(portEvents('port-up').at(-1)?.id, ids[1])
  })

  it('tells of a frame that is longer than the socket buffer towards a peer, and serves it all the same', () => {
    const spec = transport.spec(0)
    const options = spec.options as ManyPeersOptions
    const policy = { ...options.policy, maxFrameSize: 65_550 }
    const smallest = { ...options, policy, sendBufferBytes: 16_384 }
    plane.start(65_550, [{ ...spec, options: smallest, ports: [] }], (each, host) => new ManyPeersEndpoint(each, host))
    const [alice, bob] = ['alice', 'bob'].map(name =>
      bind(join(folder, name), { sendTo: path(), maxFrameSize: 65_550 }),
    ) as [RawPeer, RawPeer]
    say(bob)
    for (const length of [40_000, 40_000, 1000]) {
      assert.equal(alice.sendNow(frame(BROADCAST, ALICE, length)).error, null)
      turn()
    }
    assert.deepEqual(
      bob.receiveNow().map(({ length }) => length),
      [1000],
    )
    const told = raised().filter(([code]) => code === 'peer-frame-size')
    assert.equal(told.length, 1)
    assert.match(told[0]?.[1] as string, /raise net\.core\.wmem_max, or lower maxFrameSize/)
  })

  describe('a peer that cannot be served is counted, and told of once:', () => {
    const once = (code: string, pattern: RegExp) => {
      const found = raised().filter(([each]) => each === code)
      assert.equal(new Set(found.map(String)).size, 1, JSON.stringify(raised()))
      assert.match(found[0]?.[1] as string, pattern)
      assert.equal(portEvents('port-up').length, 0)
    }

    it('it has no name', () => {
      const stray = RawPeer.unbound({ sendTo: path() })
      peers.push(stray)
      for (let i = 0; i < 5; i++) say(stray)
      assert.equal(drops('unbound'), 5)
      once('peer-unbound', /local\.path/)
    })

    it('its path is relative, which would mean a file of this process', () => {
      const peer = bind(relative(process.cwd(), join(folder, 'vm1')), { sendTo: path() })
      for (let i = 0; i < 5; i++) say(peer)
      assert.equal(drops('relative-name'), 5)
      assert.equal(peer.receiveNow().length, 0)
      once('peer-relative-name', /absolute path/)
    })

    it('its path leads to no socket here, although its frames come', () => {
      const peer = bind(join(folder, 'vm1'), { sendTo: path() })
      unlinkSync(join(folder, 'vm1'))
      say(peer)
      turn(SECOND)
      assert.deepEqual(raised(), [], 'it may have ended just after it sent')
      for (let i = 0; i < 3; i++) {
        say(peer)
        turn(SECOND)
      }
      assert.equal(drops('peer-gone'), 4)
      once('peer-unreachable', /same path/)
    })
  })

  it('tells of two programs that use one path for themselves, until one of them ends', () => {
    const name = join(folder, 'vm1')
    const first = bind(name, { sendTo: path() })
    say(first)
    unlinkSync(name)
    const second = bind(name, { sendTo: path() })
    say(second)
    plane.command({ type: 'endpoint', name: NAME, message: { type: 'same-name', paths: [name] } })
    assert.ok(raised().some(([code]) => code === 'peer-duplicate-name'))
    plane.command({ type: 'endpoint', name: NAME, message: { type: 'same-name', paths: [] } })
    turn(SECOND)
    assert.ok(
      plane.events.some(event => event.type === 'finding' && event.code === 'peer-duplicate-name' && !event.raised),
    )
  })
})
