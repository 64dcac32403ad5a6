/** The real library in its process, and guests made of test code on the other end. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { parseIpv6 } from '#src/wire/ip-address.js'
import { eventually } from '../../support/eventually.js'
import { bytes4, packetOf, protocol, segmentOf, tcp, tcpFlag, text4, udp } from '../../support/packets.js'
import { freePort, listening, type SlirpGuest, SlirpNetwork, slirpNeeds } from '../../support/slirp-guest.js'

const GATEWAY_6 = '52:56:00:00:00:02'

describe('a guest behind slirp', { ...slirpNeeds(), timeout: 60_000 }, () => {
  let network: SlirpNetwork
  let guest: SlirpGuest
  let other: SlirpGuest
  let server: Server
  let port: number

  before(async () => {
    server = createServer(socket => socket.on('data', data => socket.write(`you said ${data}`)).on('error', () => {}))
    port = await listening(server)
    network = await SlirpNetwork.start({
      hostLoopback: true,
      hostname: 'lab',
      domain: 'example.org',
      search: ['a.example', 'b.example'],
    })
    guest = network.guest('52:54:00:00:00:01')
    other = network.guest('52:54:00:00:00:02')
  })

  after(async () => {
    await network?.close()
    server?.close()
  })

  it('gets an address, a gateway, a name server and names by DHCP', async () => {
    const options = await guest.dhcp()
    assert.equal(guest.address, '10.0.2.15')
    assert.equal(text4(options.get(1) as Uint8Array), '255.255.255.0')
    assert.equal(text4(options.get(3) as Uint8Array), '10.0.2.2')
    assert.equal(text4(options.get(6) as Uint8Array), '10.0.2.3')
    assert.equal(Buffer.from(options.get(12) as Uint8Array).toString(), 'lab')
    assert.equal(Buffer.from(options.get(15) as Uint8Array).toString(), 'example.org')
    assert.match(Buffer.from(options.get(119) as Uint8Array).toString('latin1'), /a.*example.*b/s)
  })

  it('gets another address than another guest', async () => {
    await other.dhcp()
    assert.equal(other.address, '10.0.2.16')
  })

  it('pings the gateway', () => guest.ping('10.0.2.2', 7))

  it("talks TCP to the host's loopback where that is open", async () => {
    assert.equal(await guest.exchange('10.0.2.2', port, 'hello', 14), 'you said hello')
  })

  it('talks to another guest without slirp in between: a segment that is flooded to it is not answered', async () => {
    const segment = tcp({ from: 5000, to: 5001, seq: 1, flags: tcpFlag.syn })
    guest.sendIp(bytes4(other.address), protocol.tcp, segment, { to: other.mac })
    // The answer to the ping comes after whatever the segment would have caused.
    await guest.ping('10.0.2.2', 8)
    await assert.rejects(
      guest.next(frame => (isSegmentFrom(frame, 5001) ? true : null), 'a reset', 100),
      /not within/,
    )
  })
})

describe("the host's loopback", { ...slirpNeeds(), timeout: 60_000 }, () => {
  let network: SlirpNetwork
  let guest: SlirpGuest
  let server: Server
  let port: number
  let connections = 0

  before(async () => {
    server = createServer(socket => {
      connections++
      socket.on('error', () => {})
    })
    port = await listening(server, '::')
    network = await SlirpNetwork.start()
    guest = network.guest('52:54:00:00:00:01')
    await guest.dhcp()
  })

  after(async () => {
    await network?.close()
    server?.close()
  })

  const ways: Record<string, { address: Uint8Array; to?: string; source?: Uint8Array }> = {
    "the gateway's address": { address: bytes4('10.0.2.2') },
    "the name server's address": { address: bytes4('10.0.2.3') },
    'the broadcast address': { address: bytes4('255.255.255.255') },
    '127.0.0.1': { address: bytes4('127.0.0.1') },
    '0.0.0.0': { address: bytes4('0.0.0.0') },
    ...Object.fromEntries(
      ['fd00::2', 'fd00::3', '::1', '::', '::ffff:7f00:1', 'ff02::1'].map(address => [
        address,
        { address: parseIpv6(address) as Uint8Array, to: GATEWAY_6, source: parseIpv6('fd00::15') as Uint8Array },
      ]),
    ),
  }

  for (const [what, { address, ...via }] of Object.entries(ways)) {
    it(`is not reached by a guest under ${what}, unless that is asked for`, async () => {
      await assert.rejects(guest.connect(address, port, { ...via, timeoutMs: 150 }), /refused|not within/)
      await guest.ping('10.0.2.2', 1)
      assert.equal(connections, 0)
    })
  }

  it('is told apart from what is outside: the same way leads there', async () => {
    const open = await SlirpNetwork.start({ hostLoopback: true })
    try {
      const friend = open.guest('52:54:00:00:00:01')
      await friend.dhcp()
      await friend.connect(bytes4('10.0.2.2'), port)
      await eventually(
        () => connections,
        count => count === 1,
        'the connection arrives',
      )
    } finally {
      await open.close()
    }
  })
})

describe('a restricted network', { ...slirpNeeds(), timeout: 60_000 }, () => {
  it('gives addresses, and no way out', async () => {
    const server = createServer()
    const port = await listening(server)
    const network = await SlirpNetwork.start({ restricted: true, hostLoopback: true })
    try {
      const guest = network.guest('52:54:00:00:00:01')
      const options = await guest.dhcp()
      assert.equal(options.get(3), undefined, 'no gateway')
      await assert.rejects(guest.connect(bytes4('10.0.2.2'), port, { timeoutMs: 200 }), /refused|not within/)
    } finally {
      await network.close()
      server.close()
    }
  })
})

describe('a limit on connections', { ...slirpNeeds(), timeout: 60_000 }, () => {
  it('refuses what would open another, and nothing else', async () => {
    const server = createServer(socket => socket.on('error', () => {}))
    const port = await listening(server)
    const network = await SlirpNetwork.start({ hostLoopback: true, maxConnections: 16 })
    try {
      const guest = network.guest('52:54:00:00:00:01')
      await guest.dhcp()
      // A guest alone gets four fifths, see connections.ts.
      for (let i = 0; i < 13; i++) await guest.connect(bytes4('10.0.2.2'), port)
      await assert.rejects(guest.connect(bytes4('10.0.2.2'), port, { timeoutMs: 200 }), /not within/)
      const { refused, sockets } = await network.counts()
      assert.ok(refused > 0)
      assert.equal(sockets, 13)
      await guest.resolve('10.0.2.2')
      await guest.dhcp()
    } finally {
      await network.close()
      server.close()
    }
  })
})

describe('port forwards', { ...slirpNeeds(), timeout: 60_000 }, () => {
  let network: SlirpNetwork
  let guest: SlirpGuest

  beforeEach(async () => {
    network = await SlirpNetwork.start({ hostLoopback: true }, { unixSockets: true })
    guest = network.guest('52:54:00:00:00:01')
    await guest.dhcp()
  })

  afterEach(async () => {
    await network.close()
  })

  /** The guest sees somebody knock, or for IPv6 somebody ask for it. */
  const knock = () =>
    guest.next(frame => (isSegmentTo(frame, 22) || isSolicitation(frame) ? true : null), 'a SYN to port 22')

  for (const [what, host] of Object.entries({
    'an IPv4 address': async () => `127.0.0.1:${await freePort()}`,
    'an IPv6 address': async () => `[::1]:${await freePort()}`,
    'a unix socket in its folder': async () => join(network.folderInside, 'ssh.sock'),
  })) {
    it(`lead from ${what} of the host to a guest, until they are removed`, async () => {
      const forward = { protocol: 'tcp', host: await host(), guest: guestOf(what) } as const
      assert.deepEqual(await network.addForward(forward), { ok: true })
      const client = connectTo(network.outside(forward.host))
      await knock()
      client.destroy()
      assert.deepEqual(await network.process.command({ type: 'remove-forward', forward }), { ok: true })
      assert.deepEqual(await network.process.command({ type: 'remove-forward', forward }), { ok: false })
      await assert.rejects(once(connectTo(network.outside(forward.host)), 'connect'), /ECONNREFUSED/)
    })
  }

  it('lead datagrams to a guest, and its answers back', async () => {
    const port = await freePort()
    await network.addForward({ protocol: 'udp', host: `127.0.0.1:${port}`, guest: '10.0.2.15:53' })
    const socket = createSocket('udp4')
    socket.send('question', port, '127.0.0.1')
    const question = await guest.next(frame => {
      const packet = packetOf(frame)
      return packet?.protocol === protocol.udp && packet.payload[3] === 53 ? packet : null
    }, 'a datagram to port 53')
    assert.equal(Buffer.from(question.payload.subarray(8)).toString(), 'question')
    const from = Buffer.from(question.payload).readUInt16BE(0)
    const answer = once(socket, 'message')
    guest.sendIp(question.source, protocol.udp, udp(53, from, Buffer.from('answer')))
    assert.equal(String((await answer)[0]), 'answer')
    socket.close()
  })

  it('are refused where the host listens already, by the number of the error', async () => {
    const server = createServer()
    const port = await listening(server)
    const result = await network.addForward({ protocol: 'tcp', host: `127.0.0.1:${port}`, guest: '10.0.2.15:22' })
    server.close()
    assert.ok('error' in result && result.error < 0)
  })
})

describe('a slirp process that dies', { ...slirpNeeds(), timeout: 60_000 }, () => {
  let network: SlirpNetwork
  let guest: SlirpGuest

  beforeEach(async () => {
    network = await SlirpNetwork.start()
    guest = network.guest('52:54:00:00:00:01')
    await guest.dhcp()
  })

  afterEach(() => network.close())

  const deaths: Record<string, () => unknown> = {
    'because its stream is out of step': () => network.sendRaw(Uint8Array.of(255, 255, 255, 255)),
    'by a signal': () => process.kill(network.process.pid as number, 'SIGSEGV'),
  }

  for (const [how, die] of Object.entries(deaths)) {
    it(`${how}, is replaced; the host's ports are free for its successor, and guests go on`, async () => {
      const forward = { protocol: 'tcp', host: `127.0.0.1:${await freePort()}`, guest: '10.0.2.15:22' } as const
      assert.deepEqual(await network.addForward(forward), { ok: true })
      for (let life = 1; life <= 3; life++) {
        await die()
        await eventually(
          () => network.restarts.at(-1),
          restarts => restarts === life,
          `restart ${life}`,
          15_000,
        )
        assert.equal(network.deaths.length, life)
        assert.deepEqual(await network.addForward(forward), { ok: true }, 'the port is free again')
        await guest.dhcp()
        await guest.ping('10.0.2.2', life)
      }
    })
  }

  it('refuses commands until it runs again', async () => {
    const died = eventually(
      () => network.deaths.length,
      count => count === 1,
      'the death is seen',
      15_000,
    )
    network.sendRaw(Uint8Array.of(255, 255, 255, 255))
    await died
    await assert.rejects(network.process.command({ type: 'status' }), /being restarted/)
    await eventually(
      () => network.restarts.length,
      count => count === 1,
      'it runs again',
      15_000,
    )
  })
})

describe('another socketpair', { ...slirpNeeds(), timeout: 60_000 }, () => {
  it('takes the place of the one before, and connections live on', async () => {
    const server = createServer(socket => socket.on('data', data => socket.write(data)).on('error', () => {}))
    const port = await listening(server)
    const network = await SlirpNetwork.start({ hostLoopback: true })
    try {
      const guest = network.guest('52:54:00:00:00:01')
      await guest.dhcp()
      const connection = await guest.connect(bytes4('10.0.2.2'), port)
      // Half a frame: what would be read as lengths after it means nothing.
      network.sendRaw(Uint8Array.of(0, 0, 5, 0xdc, 1, 2, 3))
      network.process.join()
      connection.send(Buffer.from('still there'))
      assert.equal(await connection.read(11), 'still there')
    } finally {
      await network.close()
      server.close()
    }
  })
})

describe('a slirp process that gets no link', { ...slirpNeeds(), timeout: 60_000 }, () => {
  it('is a start that failed: it is ended, and no other takes its place', async () => {
    const network = SlirpNetwork.withoutLink()
    try {
      await assert.rejects(network.process.start(), Error)
      assert.deepEqual([network.process.isRunning, network.deaths], [false, []])
    } finally {
      await network.close()
    }
  })

  it('is ended and started again when it loses its link later', async () => {
    const network = await SlirpNetwork.start()
    try {
      const fresh = network.freshLink.bind(network)
      network.freshLink = () => {
        network.freshLink = fresh
        throw new Error('no descriptor is left')
      }
      network.process.join()
      await eventually(
        () => network.restarts.length,
        count => count === 1,
        'another process runs',
        20_000,
      )
      assert.match(network.deaths.join(), /no descriptor is left/)
    } finally {
      await network.close()
    }
  })
})

function isSegmentFrom(frame: Uint8Array, port: number): boolean {
  const packet = packetOf(frame)
  return packet?.protocol === protocol.tcp && segmentOf(packet.payload).from === port
}

function isSegmentTo(frame: Uint8Array, port: number): boolean {
  const packet = packetOf(frame)
  return packet?.protocol === protocol.tcp && segmentOf(packet.payload).to === port
}

const NEIGHBOUR_SOLICITATION = 135
const guestOf = (host: string) => (host.includes('IPv6') ? '[fd00::15]:22' : '10.0.2.15:22')

function isSolicitation(frame: Uint8Array): boolean {
  const packet = packetOf(frame)
  return packet?.protocol === protocol.icmpv6 && packet.payload[0] === NEIGHBOUR_SOLICITATION
}

function connectTo(host: string) {
  if (host.startsWith('/')) return connect(host).on('error', () => {})
  const [, address, port] = /^\[?(.*?)\]?:(\d+)$/.exec(host) as unknown as [string, string, string]
  return connect(Number(port), address).on('error', () => {})
}
