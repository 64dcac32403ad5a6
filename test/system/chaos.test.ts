/**
 * Everything at once: stations on five transports exchange numbered frames while ports, transports, addresses, impairments and captures
 * change, readers stall, peers vanish and come back, and the thread that forwards dies again and again. Afterwards every frame is accounted
 * for, exactly:
 *
 *     frames that a datagram peer's kernel took = frames its port received (and, of udp and vxlan, those the kernel had no room for)
 *     frames received = frames dropped on receipt + frames transmitted + frames not transmitted, by reason
 *     frames transmitted = frames that the peer got, each once
 *
 * The second line holds because each station's address is static, so nothing between stations is flooded; what the other peers send goes
 * nowhere by its addresses. The control plane runs in the test's own process, where its thread can be reached.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, before, describe, it, mock } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { parseConfig } from '#src/config/load.js'
import { resolveConfig } from '#src/config/resolve.js'
import { ControlPlane } from '#src/control/control-plane.js'
import { DataPlane } from '#src/dataplane/data-plane.js'
import type { Command } from '#src/dataplane/messages.js'
import { eventually } from '../support/eventually.js'
import { Lab } from '../support/lab.js'
import { numbered, numberOf } from '../support/numbered.js'
import { Random, randomSeed } from '../support/random.js'
import type { RawPeer } from '../support/raw-peer.js'
import { recordingLogger } from '../support/recording-logger.js'
import { scale } from '../support/scale.js'
import { StreamPeer } from '../support/stream-peer.js'
import { freeUdpPort, UdpPeer } from '../support/udp-peer.js'

/** Of a run of the suite; TAPSWITCH_SCALE=150 goes on for ten minutes. */
const durationMs = 4000 * scale
const names = ['vm1', 'vm2', 'udp', 'fabric', 'stream'] as const
type Name = (typeof names)[number]
const macOf = (name: Name) => `02:00:00:00:00:0${names.indexOf(name) + 1}`
/** A bridge forwards none of these. */
const RESERVED = '01:80:c2:00:00:0e'
const VNI = 7
const header = Uint8Array.of(8, 0, 0, 0, 0, 0, VNI, 0)

interface Station {
  /** Frames that its kernel took. */
  sent: number
  /** Numbers of the frames that came. */
  readonly got: number[]
  readonly send: (frames: Uint8Array[]) => number
  readonly read: () => Uint8Array[]
  stalled: boolean
}

const sumOf = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((sum, count) => sum + count, 0)
const openDescriptors = () => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0)

describe(`chaos (TAPSWITCH_SEED=${randomSeed})`, { timeout: 120_000 + 2 * durationMs }, () => {
  const random = new Random(randomSeed)
  const log = recordingLogger()
  const stations = new Map<Name, Station>()
  const noise: RawPeer[] = []
  let lab: Lab
  let control: ControlPlane
  let dataPlane: DataPlane
  let stream: StreamPeer
  let number = 0
  /** To which station each frame goes, by its number. */
  const goals: Name[] = []
  let noiseNames = 0
  let deaths = 0

  const ports = { udp: freeUdpPort(), udpPeer: freeUdpPort(), fabric: freeUdpPort(), fabricPeer: freeUdpPort() }
  const at = (port: number) => `127.0.0.1:${port}`
  const fixed = (name: Name) => ({ name, port: { fdb: { static: [macOf(name)] } } })

  function config(ageingSeconds = 300, impaired = false): Parameters<typeof ControlPlane.start>[0] {
    const file = lab.path('switch.yaml')
    const impairment = { loss: 10, delayMs: 5, seed: 1 }
    const vm2 = { name: 'vm2', port: { ...fixed('vm2').port, ...(impaired && { impairment }) } }
    const transports = [
      { ...fixed('vm1'), type: 'unixgram', listen: 'vm1.sock', peers: 'one' },
      { ...vm2, type: 'unixgram', listen: 'vm2.sock', peers: 'one' },
      { ...fixed('udp'), type: 'udp', listen: at(ports.udp), peers: [at(ports.udpPeer)] },
      { ...fixed('fabric'), type: 'vxlan', vni: VNI, listen: at(ports.fabric), remotes: [at(ports.fabricPeer)] },
      { ...fixed('stream'), type: 'stream', listen: 'stream.sock', peers: 'one' },
      { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
    ]
    const text = JSON.stringify({
      runtimeDir: lab.folder,
      switch: { fdb: { ageingSeconds } },
      transports,
      http: { listen: '127.0.0.1:0' },
    })
    return resolveConfig(parseConfig(text, file), {
      file,
      platform: process.platform,
      env: {},
      uid: process.getuid?.() ?? 0,
      accountNumber: () => undefined,
      primaryGroup: () => undefined,
    })
  }

  const add = (name: Name, send: Station['send'], read: Station['read']) =>
    stations.set(name, { sent: 0, got: [], send, read, stalled: false })

  async function connectStream(): Promise<void> {
    stream = await StreamPeer.connect({ path: lab.path('stream.sock') })
  }

  before(async () => {
    lab = await Lab.open()
    const start = mock.method(DataPlane.prototype, 'start')
    control = await ControlPlane.start(config(), log)
    dataPlane = start.mock.calls[0]?.this as DataPlane
    start.mock.restore()
    for (const name of ['vm1', 'vm2'] as const) {
      const peer = lab.qemu(`${name}.peer`, `${name}.sock`)
      add(
        name,
        frames => peer.sendNow(frames).count,
        () => peer.receiveNow(),
      )
    }
    const udp = UdpPeer.bind(at(ports.udpPeer), { sendTo: at(ports.udp) })
    add(
      'udp',
      frames => udp.sendNow(frames).count,
      () => udp.receiveNow(),
    )
    const fabric = UdpPeer.bind(at(ports.fabricPeer), { sendTo: at(ports.fabric), header })
    add(
      'fabric',
      frames => fabric.sendNow(frames).count,
      () => fabric.receiveNow(),
    )
    await connectStream()
    add(
      'stream',
      frames => {
        if (stream.ended || stream.socket.writableLength > 65_536) return 0
        void stream.send(frames).catch(() => {})
        return frames.length
      },
      () => stream.receiveNow(),
    )
    // The port of a station is up once it has sent a frame; until then frames to it would be flooded.
    for (const [name, station] of stations) station.sent += station.send([numbered(RESERVED, macOf(name), 0)])
    await eventually(
      () => names.map(name => control.view.ports().find(each => each.name === name)),
      found => found.every(port => port?.up && port.counters.receiveFrames > 0),
      'every station is up',
      10_000,
    )
    lab.onClose(async () => {
      udp.close()
      fabric.close()
      stream.leave()
    })
  })

  after(async () => {
    await control.stop()
    await lab.close()
  })

  const portOf = (name: Name) => control.view.ports().find(each => each.name === name)
  const change = (name: Name, what: object) => {
    const port = portOf(name)
    return port === undefined ? undefined : control.control.changePort(port.id, what)
  }
  const settled = () =>
    eventually(
      () => control.view.info().dataplane,
      ({ alive }) => alive,
      'the data plane is back',
      10_000,
    )

  const deeds: Record<string, () => unknown> = {
    'a neighbour comes': () => {
      const peer = lab.qemu(`noise${++noiseNames}.peer`, 'vms.sock')
      noise.push(peer)
      peer.sendNow(numbered(RESERVED, '02:00:00:00:01:01', 0))
    },
    'a neighbour vanishes': () => noise.shift()?.close({ unlink: random.between(0, 1) === 0 }),
    'a reader stalls': () => {
      for (const name of ['vm1', 'udp', 'stream'] as const) {
        const station = stations.get(name) as Station
        station.stalled = random.between(0, 1) === 0
        if (name === 'stream') station.stalled ? stream.stall() : stream.resume()
      }
    },
    'a transport is added': () => control.control.add('transports', { name: 'x', type: 'unixgram', listen: 'x.sock' }),
    'a transport is removed': () => control.control.remove('transports', 'x'),
    'isolated ports': async () => {
      for (const name of ['vm2', 'fabric'] as const) await change(name, { isolated: random.between(0, 1) === 0 })
    },
    'an impairment': () => control.reload(config(300, true)),
    'a shorter queue': () => change('vm1', { queueFrames: random.between(16, 256) }),
    'addresses are flushed': () => control.control.flush(null),
    'a capture': async () => {
      const options = { portId: null, snapLength: 128, filter: '', seconds: 5, maxBytes: 1 << 20 }
      const capture = await control.captures.start(options)
      await delay(random.between(0, 10))
      await capture.stop()
    },
    'a reload': () => control.reload(config(random.between(200, 400))),
    'the thread dies': async () => {
      deaths++
      await dataPlane.command({ type: 'nonsense' } as unknown as Command).catch(() => {})
      await settled()
    },
  }

  function drain(): void {
    for (const station of stations.values()) {
      if (!station.stalled) for (const frame of station.read()) station.got.push(numberOf(frame))
    }
  }

  it('accounts for every frame, leaks nothing and goes on', async () => {
    const done: Record<string, number> = {}
    const refused = new Map<string, string>()
    const end = performance.now() + durationMs
    let descriptors = 0
    for (let round = 0; performance.now() < end || round < 40; round++) {
      if (stream.ended) await connectStream()
      for (const [name, station] of stations) {
        const to = random.pick(names.filter(each => each !== name))
        const frames = Array.from({ length: random.between(1, 20) }, () => {
          goals[++number] = to
          return numbered(macOf(to), macOf(name), number)
        })
        station.sent += station.send(frames)
      }
      for (const peer of noise) peer.sendNow(numbered(RESERVED, '02:00:00:00:01:01', 0))
      const deed = random.pick(Object.keys(deeds))
      done[deed] = (done[deed] ?? 0) + 1
      try {
        await deeds[deed]?.()
      } catch (error) {
        refused.set(deed, String(error))
      }
      await delay(5)
      drain()
      if (round === 20) descriptors = openDescriptors()
    }

    await settled()
    await control.reload(config())
    for (const station of stations.values()) station.stalled = false
    stream.resume()
    let before = ''
    await eventually(
      () => {
        drain()
        const counters = JSON.stringify(names.map(name => portOf(name)?.counters))
        const isSame = counters === before
        before = counters
        return isSame && names.every(name => portOf(name)?.counters.queueFrames === 0)
      },
      isSame => isSame,
      'all is quiet',
      10_000,
    )
    await delay(300)
    drain()

    const summary = JSON.stringify({ done, refused: [...refused], deaths, number }, null, 1)
    const counters = Object.fromEntries(names.map(name => [name, portOf(name)?.counters])) as Record<
      Name,
      NonNullable<ReturnType<typeof portOf>>['counters']
    >
    let received = 0
    let accounted = 0
    for (const name of names) {
      const { receiveFrames, receiveDrops, transmitFrames, transmitDrops } = counters[name]
      received += receiveFrames
      accounted += sumOf(receiveDrops) + transmitFrames + sumOf(transmitDrops)
      const station = stations.get(name) as Station
      const strays = station.got.filter(each => goals[each] !== name)
      assert.deepEqual(strays, [], `${name} got frames for ${strays.map(each => goals[each])}\n${summary}`)
      assert.equal(new Set(station.got).size, station.got.length, `${name} got each frame once`)
      if (name === 'stream') continue
      const unread = control.view.transports().find(each => each.name === name)?.drops['receive-buffer'] ?? 0
      assert.equal(receiveFrames + unread, station.sent, `what ${name} sent was received\n${summary}`)
      assert.equal(transmitFrames, station.got.length, `what was sent to ${name} came\n${summary}`)
    }
    assert.equal(accounted, received, `received = dropped + sent + not sent\n${JSON.stringify(counters)}\n${summary}`)
    assert.ok(openDescriptors() <= descriptors + 60, `${openDescriptors()} descriptors, ${descriptors} early`)
    const errors = log.lines.filter(({ level, message }) => level === 'error' && !/data plane/.test(message))
    assert.deepEqual(errors, [], summary)
  })
})
