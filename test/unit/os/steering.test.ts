import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MessageVector } from '#src/os/message-vector.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { createOs, platformLayout } from '#src/os/os.js'
import { encodeInetAddress } from '#src/os/sockaddr-in.js'
import { digestOf, MAX_STEERING_RULES, type SteeringKey, type SteeringRule, steer } from '#src/os/steering.js'
import { localAddress } from '#src/os/udp-socket.js'
import { closeSocket } from '#src/os/unix-socket.js'
import { formatInetAddress, literalAddress } from '#src/transports/inet-text.js'
import { openBoundUdp, openLanes } from '#src/transports/open-udp.js'
import { requirements } from '../../support/requires.js'
import { UdpPeer } from '../../support/udp-peer.js'

const layout = platformLayout()
const os = createOs()
const LANES = 3
const options = { fragment: false, sendBytes: 0, receiveBytes: 1 << 20 }

const raw = (address: string) => encodeInetAddress(layout, literalAddress(address))

/** Sockets on one address, and which of them got what. */
class Group {
  readonly fds: number[]
  readonly address: string

  constructor(listen: string, kind: SteeringKey['kind']) {
    const fd = openBoundUdp(layout, literalAddress(listen), options)
    const address = localAddress(layout, fd)
    assert.ok(address)
    this.address = formatInetAddress(address)
    this.fds = [fd, ...openLanes(layout, fd, kind, options, LANES)]
    assert.equal(this.fds.length, LANES + 1)
  }

  /** Datagrams that wait at each socket, which are read. */
  counts(): number[] {
    const vector = new MessageVector(layout, 64, true)
    const memory = new NativeMemory(64 * 64)
    for (let i = 0; i < 64; i++) vector.setBuffer(i, memory.address + i * 64, 64)
    return this.fds.map(fd => {
      const count = Math.max(0, os.receiveMessages(fd, vector, 64))
      vector.resetNames(count)
      return count
    })
  }

  close(): void {
    for (const fd of this.fds) closeSocket(fd)
  }
}

/** Rules for sources that do not occur. */
function others(key: SteeringKey, count: number): SteeringRule[] {
  return Array.from({ length: count }, (_, i) => {
    const text = key.family === 4 ? `10.9.${i >> 8}.${i & 255}:4000` : `[2001:db8::${(i + 1).toString(16)}]:4000`
    return { digest: digestOf(raw(text), key), socket: 3 }
  })
}

describe('steering', requirements({ platform: 'linux' }), () => {
  const families = [
    { family: 4, host: '127.0.0.1' },
    { family: 6, host: '[::1]' },
  ] as const
  for (const { family, host } of families) {
    for (const kind of ['address', 'address-and-port'] as const) {
      for (const rulesBeside of [0, 1, 5, 100, MAX_STEERING_RULES - 2]) {
        it(`IPv${family}, by ${kind}, beside ${rulesBeside} rules`, () => {
          const group = new Group(`${host}:0`, kind)
          const peers = [0, 1, 2].map(() => UdpPeer.bind(`${host}:0`, { sendTo: group.address }))
          const [first, second] = peers as [UdpPeer, UdpPeer, UdpPeer]
          const key: SteeringKey = { family, kind, seed: -1_234_567 }
          try {
            for (const peer of peers) peer.sendNow(Uint8Array.of(1))
            assert.deepEqual(group.counts(), [3, 0, 0, 0], 'all come by the door at first')
            const rules = [
              { digest: digestOf(raw(first.address), key), socket: 1 },
              ...(kind === 'address' ? [] : [{ digest: digestOf(raw(second.address), key), socket: 2 }]),
              ...others(key, rulesBeside),
            ]
            assert.equal(steer(layout, group.fds[0] as number, key, rules), 0)
            for (const peer of peers) peer.sendNow(Uint8Array.of(1))
            assert.deepEqual(group.counts(), kind === 'address' ? [0, 3, 0, 0] : [1, 1, 1, 0])
          } finally {
            for (const peer of peers) peer.close()
            group.close()
          }
        })
      }
    }
  }

  it('an address that is in use stays refused', () => {
    const group = new Group('127.0.0.1:0', 'address')
    try {
      assert.throws(() => openBoundUdp(layout, literalAddress(group.address), options), /in use by another socket/)
    } finally {
      group.close()
    }
  })
})
