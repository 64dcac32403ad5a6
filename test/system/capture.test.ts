/** Captures of the running switch, read by the program that people will read them with. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { interfaceBlock, packetBlock, quietBlock, sectionBlock } from '#src/control/pcapng.js'
import { epochOf, nanoseconds } from '#src/os/wall-clock.js'
import { controlHeaders, controlTokenOf } from '../support/control-tokens.js'
import { eventually } from '../support/eventually.js'
import {
  ALICE,
  arpReply,
  arpRequest,
  BOB,
  groupSource,
  ipv4Echo,
  ipv6NeighbourSolicitation,
} from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numberedRun } from '../support/numbered.js'
import { type PcapngFile, readPcapng } from '../support/pcapng.js'
import { projectRoot } from '../support/project-root.js'
import type { RawPeer } from '../support/raw-peer.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'

const run = promisify(execFile)
const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock' }

describe('a capture', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let alice: RawPeer
  let bob: RawPeer

  beforeEach(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [vms] })
    alice = lab.qemu('alice.sock', 'vms.sock')
    bob = lab.qemu('bob.sock', 'vms.sock')
    await bob.send(arpReply)
    await eventually(
      () => running.api.ports(),
      ports => ports.length === 1,
      'the port of bob',
    )
    await alice.send(arpRequest)
    assert.deepEqual(await bob.receive(), arpRequest)
  })

  afterEach(() => lab.close())

  /** Starts the shipped command; `end` is Ctrl-C, and resolves with what it wrote. */
  async function capture(...args: string[]): Promise<{ file: string; end: () => Promise<PcapngFile> }> {
    const file = lab.path('capture.pcapng')
    const program = join(projectRoot, 'dist/cli/main.js')
    const child = spawn(process.execPath, [program, 'capture', '-u', running.api.url, '-w', file, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, TAPSWITCH_TOKEN: controlTokenOf(running.api.url) },
    })
    lab.onClose(async () => child.kill('SIGKILL'))
    const exited = once(child, 'exit')
    await eventually(
      () => running.api.captures(),
      captures => captures.length === 1,
      'the capture',
      20_000,
    )
    const end = async () => {
      child.kill('SIGINT')
      assert.deepEqual(await exited, [0, null])
      return readPcapng(await readFile(file))
    }
    return { file, end }
  }

  it('has every frame, on its way in and out, and says why one was dropped', async () => {
    const { end } = await capture()
    await alice.send(ipv4Echo)
    assert.deepEqual(await bob.receive(), ipv4Echo)
    await alice.send(groupSource)
    const aliceId = (await running.api.portOf(lab.path('alice.sock'))).id
    await running.api.portWhen(aliceId, port => port.counters.receiveDrops['invalid-source'] === 1, 'the drop')
    const { packets, statistics, application } = await end()
    assert.match(application ?? '', /^tapswitch \d/)
    assert.deepEqual(
      packets.map(({ port, direction, length, comment }) => [port, direction, length, comment]),
      [
        ['vms:2', 'in', ipv4Echo.length, undefined],
        ['vms:1', 'out', ipv4Echo.length, undefined],
        ['vms:2', 'in', groupSource.length, 'dropped: invalid-source'],
      ],
    )
    assert.deepEqual(packets[0].bytes, Buffer.from(ipv4Echo))
    assert.ok(Math.abs(Number(packets[0].time / 1_000_000n) - Date.now()) < 60_000)
    assert.deepEqual(statistics.get('vms:2'), { received: 2, accepted: 2, dropped: 0 })
  })

  it('of one port has nothing of the others, and as many bytes as were asked for', async () => {
    const { end } = await capture('-p', 'vms:1', '-s', '20')
    await alice.send(ipv4Echo)
    assert.deepEqual(await bob.receive(), ipv4Echo)
    const { packets, interfaces } = await end()
    assert.deepEqual(interfaces, ['vms:1'])
    assert.deepEqual(
      packets.map(({ length, bytes }) => [length, bytes.length]),
      [[ipv4Echo.length, 20]],
    )
  })

  it('has only what its filter lets through', async () => {
    const { end } = await capture('-f', 'arp or icmp6')
    for (const frame of [ipv4Echo, arpRequest, ipv6NeighbourSolicitation]) {
      await alice.send(frame)
      assert.deepEqual(await bob.receive(), frame)
    }
    const { packets } = await end()
    assert.deepEqual(
      packets.filter(({ direction }) => direction === 'in').map(({ length }) => length),
      [arpRequest.length, ipv6NeighbourSolicitation.length],
    )
  })

  it('is read by tshark without complaint', requirements({ commands: ['tshark'] }), async () => {
    const { file, end } = await capture()
    await alice.send(ipv4Echo)
    assert.deepEqual(await bob.receive(), ipv4Echo)
    await alice.send(groupSource)
    await alice.send(arpRequest)
    assert.deepEqual(await bob.receive(), arpRequest)
    await end()
    const fields = ['frame.interface_name', 'frame.packet_flags_direction', 'frame.comment', '_ws.col.Protocol']
    const { stdout, stderr } = await run(
      'tshark',
      ['-r', file, '-T', 'fields', ...fields.flatMap(name => ['-e', name])],
      {
        env: { ...process.env, HOME: lab.folder },
      },
    )
    const complaints = stderr.split('\n').filter(line => line !== '' && !line.startsWith('Running as user "root"'))
    assert.deepEqual(complaints, [])
    const lines = stdout.trimEnd().split('\n')
    assert.equal(lines.length, 5)
    assert.deepEqual(lines[0].split('\t'), ['vms:2', '0x00000001', '', 'ICMP'])
    assert.deepEqual(lines[1].split('\t').slice(0, 2), ['vms:1', '0x00000002'])
    assert.equal(lines[2].split('\t')[2], 'dropped: invalid-source')
  })

  it(
    'may have empty blocks anywhere, for tshark and tcpdump',
    requirements({ commands: ['tshark', 'tcpdump'] }),
    async () => {
      const file = lab.path('quiet.pcapng')
      const packet = packetBlock({ interfaceId: 0, time: 0n, direction: 1, originalLength: 60, bytes: arpRequest })
      const blocks = [
        sectionBlock('test'),
        quietBlock(),
        interfaceBlock('vms:1', 'unixgram', 0),
        quietBlock(),
        packet,
        quietBlock(),
      ]
      await writeFile(file, Buffer.concat(blocks))
      for (const program of ['tshark', 'tcpdump']) {
        const { stdout, stderr } = await run(program, ['-n', '-r', file], { env: { ...process.env, HOME: lab.folder } })
        assert.equal(stdout.trimEnd().split('\n').length, 1, program)
        assert.doesNotMatch(stderr, /error|malformed|unknown|cut short|damaged/i, program)
      }
    },
  )

  it('that nobody reads slows nobody down, and says what it lacks', async () => {
    const response = await unreadCapture(running.api.url)
    const count = 60_000
    const perBurst = 50
    let received = 0
    for (let sent = 0; sent < count; sent += perBurst) {
      for (const frame of numberedRun(BOB, ALICE, sent, perBurst)) await alice.send(frame)
      for (let i = 0; i < perBurst; i++) if ((await bob.receive()) !== undefined) received++
    }
    assert.equal(received, count)
    const file = readPcapng(await response.end())
    const total = [...file.statistics.values()].reduce(
      (sum, each) => ({ received: sum.received + each.received, dropped: sum.dropped + each.dropped }),
      { received: 0, dropped: 0 },
    )
    assert.equal(total.received, 2 * count)
    assert.ok(total.dropped > 0, 'nothing was missed: the test does not fill the buffers')
    assert.equal(file.packets.length, total.received - total.dropped)
  })

  it('has times between those of the sender and the receiver', async context => {
    // Of the clock's reading itself; the epochs of two processes are true to about a microsecond each.
    const tolerance = 20_000n
    const clock = () => performance.now()
    const epoch = epochOf(clock)
    const now = () => epoch + nanoseconds(clock())
    const { end } = await capture()
    const limits: [earliest: bigint, latest: bigint][] = []
    for (let i = 0; i < 200; i++) {
      const before = now()
      await alice.send(ipv4Echo)
      assert.deepEqual(await bob.receive(), ipv4Echo)
      limits.push([before - tolerance, now() + tolerance])
    }
    const { packets } = await end()
    const received = packets.filter(({ direction }) => direction === 'in')
    const sent = packets.filter(({ direction }) => direction === 'out')
    assert.equal(received.length, limits.length)
    for (const [i, [earliest, latest]] of limits.entries()) {
      assert.ok(received[i].time >= earliest, `frame ${i} came in ${earliest - received[i].time} ns before it was sent`)
      assert.ok(received[i].time <= latest, `frame ${i} came in ${received[i].time - latest} ns after it was received`)
      assert.ok(sent[i].time >= received[i].time, `frame ${i} went out before it came in`)
    }
    const early = (percent: number) => {
      const delays = received.map(({ time }, i) => Number(time - limits[i][0] - tolerance)).sort((a, b) => a - b)
      return delays[Math.floor((delays.length * percent) / 100)]
    }
    context.diagnostic(`times after sending: p50 ${early(50)} ns, p95 ${early(95)} ns`)
  })

  it('begins at once on a quiet switch, and tells proxies to pass it on as it comes', async () => {
    const asked = request(`${running.api.url}/v1/capture`, { headers: controlHeaders(running.api.url) }).end()
    const [response] = await once(asked, 'response')
    assert.equal(response.headers['x-accel-buffering'], 'no')
    const [chunk] = await once(response, 'data')
    assert.equal(chunk.readUInt32LE(0), 0x0a0d0d0a)
    response.destroy()
  })

  it('has the names of guests that come and go, each with its frames', async () => {
    const { end } = await capture()
    const guests = 60
    for (let i = 0; i < guests; i++) {
      const guest = lab.qemu(`guest-${i}.sock`, 'vms.sock')
      await guest.send(arpRequest)
      assert.deepEqual(await bob.receive(), arpRequest)
      guest.close()
    }
    const { packets, interfaces } = await end()
    assert.equal(packets.filter(({ direction }) => direction === 'in').length, guests)
    assert.equal(new Set(interfaces).size, interfaces.length)
    assert.ok(
      interfaces.every(name => /^vms:\d+$/.test(name)),
      interfaces.join(),
    )
  })

  it('ends when its reader leaves without a word', async () => {
    const response = await unreadCapture(running.api.url)
    response.destroy()
    await eventually(
      () => running.api.captures(),
      captures => captures.length === 0,
      'no capture',
    )
  })
})

/** A capture whose reader reads nothing until `end`. */
async function unreadCapture(url: string): Promise<{ end: () => Promise<Buffer>; destroy: () => void }> {
  const asked = request(`${url}/v1/capture?snaplen=64`, { headers: controlHeaders(url) }).end()
  const [response] = await once(asked, 'response')
  response.pause()
  return {
    destroy: () => void response.destroy(),
    end: async () => {
      const id = response.headers['tapswitch-capture']
      const deleted = fetch(`${url}/v1/captures/${id}`, { method: 'DELETE', headers: controlHeaders(url) })
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk)
      assert.equal((await deleted).status, 204)
      return Buffer.concat(chunks)
    },
  }
}
