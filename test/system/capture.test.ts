/** Captures of the running switch, read by the program that people will read them with. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Direction, interfaceBlock, packetBlock, sectionBlock } from '#src/control/pcapng.js'
import { compileFilter } from '#src/wire/filter.js'
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
import { Random } from '../support/random.js'
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
  const asked = request(`${url}/v1/capture?snaplen=64`).end()
  const [response] = await once(asked, 'response')
  response.pause()
  return {
    destroy: () => void response.destroy(),
    end: async () => {
      const id = response.headers['tapswitch-capture']
      const deleted = fetch(`${url}/v1/captures/${id}`, { method: 'DELETE' })
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk)
      assert.equal((await deleted).status, 204)
      return Buffer.concat(chunks)
    },
  }
}

describe('a filter', requirements({ commands: ['tcpdump'] }), () => {
  const expressions = [
    'arp',
    'ip',
    'ip6',
    'tcp or udp',
    'icmp',
    'icmp6',
    'port 53',
    'src port 80 or dst port 53',
    'udp port 80',
    'tcp src port 443',
    'host 10.0.0.1',
    'src host 10.0.0.2 and not arp',
    'dst net 10.0.0.0/30',
    'net 10.0.0.128/25',
    'host fd00::1',
    'ether src 02:00:00:00:00:01',
    'ether host 02:00:00:00:00:02 and not (ip or arp)',
    'ether broadcast',
    'ether multicast and less 60',
    'greater 70',
    'not ip and not ip6 or tcp',
  ]

  it('lets the same frames through as that of tcpdump', async () => {
    const lab = await Lab.open()
    try {
      const frames = randomFrames(2000)
      const file = lab.path('frames.pcapng')
      await writeFile(
        file,
        Buffer.concat([sectionBlock('test'), interfaceBlock('any', 'test', 0), ...frames.map(asBlock)]),
      )
      for (const expression of expressions) {
        const { stdout } = await run('tcpdump', ['-r', file, '-n', '-tt', expression], { maxBuffer: 16 * 1024 * 1024 })
        const theirs = stdout
          .split('\n')
          .filter(line => /^\d/.test(line))
          .map(line => Number(line.split('.')[0]))
        const matches = compileFilter(expression)
        const ours = frames.flatMap((frame, i) => (matches(frame, 0, frame.length) ? [i] : []))
        assert.deepEqual(ours, theirs, expression)
        assert.ok(ours.length > 0 && ours.length < frames.length, `${expression} tells nothing apart`)
      }
    } finally {
      await lab.close()
    }
  })
})

/** The number of a frame is its time in seconds. */
function asBlock(bytes: Buffer, i: number): Buffer {
  const time = BigInt(i) * 1_000_000_000n
  return packetBlock({ interfaceId: 0, time, direction: Direction.in, originalLength: bytes.length, bytes })
}

/** ARP, IPv4 and IPv6 with TCP, UDP, ICMP; fragments, IP options, extension headers, noise. */
function randomFrames(count: number): Buffer[] {
  const random = new Random(7)
  const pick = <Item>(items: readonly Item[]): Item => random.pick(items)
  const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
  const mac = () => pick(['020000000001', '020000000002', '0200000000fe'])
  const ip4 = () => pick(['0a000001', '0a000002', '0a000003', '0a0000c8', 'c0a80101'])
  const ip6 = () => `fd0000000000000000000000000000${pick(['01', '02', '03'])}`
  const port = () => pick(['0035', '0050', '01bb', '1f90'])
  const transport = () => `${port()}${port()}${'00'.repeat(pick([4, 16, 40]))}`
  return Array.from({ length: count }, () => {
    const ethernet = `${pick([mac(), mac(), 'ffffffffffff', '33330000fffb'])}${mac()}`
    switch (random.between(0, 7)) {
      case 0:
        return hex(`${ethernet}0806 00010800060400${pick(['01', '02'])} ${mac()}${ip4()}${mac()}${ip4()}`)
      case 1:
      case 2:
      case 3: {
        const words = pick(['5', '5', '7'])
        const fragment = pick(['0000', '0000', '2000', '00b9'])
        const options = words === '7' ? '0101010101010101' : ''
        return hex(
          `${ethernet}0800 4${words}000054 0000${fragment} 40${pick(['06', '11', '01', '2f'])}0000 ${ip4()}${ip4()}${options}${transport()}`,
        )
      }
      case 4:
      case 5:
        return hex(`${ethernet}86dd 600000000014${pick(['06', '11', '3a', '3b'])}ff ${ip6()}${ip6()}${transport()}`)
      case 6:
        return hex(`${ethernet}88cc${'00'.repeat(pick([2, 30, 60]))}`)
      default:
        return hex(`${ethernet}9000${'ab'.repeat(pick([10, 50]))}`)
    }
  })
}
