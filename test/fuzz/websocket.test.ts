/**
 * Clients that break every rule, at a WebSocket listener of the HTTP server and at one of our own: random bytes before
 * and after the upgrade, headers that never end, one byte at a time, connections opened and dropped by the thousand,
 * peers that vanish. Meanwhile two clients that keep to the rules exchange frames, and miss none.
 *
 * TAPSWITCH_SEED=<number> repeats a run whose seed was printed; TAPSWITCH_FUZZ_SECONDS=<number> makes it longer.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { type Role, WebSocketRig } from '../conformance/websocket-rig.js'
import { ALICE, BOB, BROADCAST, frame } from '../support/frames.js'
import { watchMemory } from '../support/memory-growth.js'
import { numbered, numberOf } from '../support/numbered.js'
import { Random, randomSeed } from '../support/random.js'
import { until } from '../support/until.js'
import { WebSocketPeer } from '../support/websocket-peer.js'

const SECONDS = Number(process.env.TAPSWITCH_FUZZ_SECONDS ?? 4)
const CONNECTIONS = 10_000
const AT_ONCE = 50

const upgrade = (path: string, more = '') =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${more}` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

/** Alice and Bob, who exchange numbered frames until they are asked what they got. */
class Bystanders {
  readonly #alice: WebSocketPeer
  readonly #bob: WebSocketPeer
  readonly #timer: NodeJS.Timeout
  #sent = 0

  static async join(rig: WebSocketRig): Promise<Bystanders> {
    const [alice, bob] = [await WebSocketPeer.connect(rig.url), await WebSocketPeer.connect(rig.url)]
    await alice.send([frame(BROADCAST, ALICE)])
    await bob.receive(1)
    await bob.send([frame(ALICE, BOB)])
    await alice.receive(1)
    return new Bystanders(alice, bob)
  }

  private constructor(alice: WebSocketPeer, bob: WebSocketPeer) {
    this.#alice = alice
    this.#bob = bob
    this.#timer = setInterval(() => void alice.send([numbered(BOB, ALICE, this.#sent++, 200)]), 2)
  }

  /** Every frame has arrived, in order. What others sent to Bob, or to all, does not count. */
  async leave(): Promise<void> {
    clearInterval(this.#timer)
    const got: number[] = []
    await until(() => {
      for (const each of this.#bob.receiveNow()) if (isOurs(each)) got.push(numberOf(each))
      return got.length >= this.#sent
    }, 'every frame has arrived')
    assert.ok(this.#sent > 50, `${this.#sent} frames`)
    assert.deepEqual(
      got,
      Array.from({ length: this.#sent }, (_, i) => i),
    )
    assert.deepEqual([this.#alice.ended, this.#bob.ended], ['', ''])
    this.#alice.leave()
    this.#bob.leave()
  }
}

const bob = Buffer.from(frame(BOB, ALICE, 14))
const isOurs = (bytes: Uint8Array) => bytes.length === 200 && Buffer.compare(bytes.subarray(0, 14), bob) === 0

for (const role of ['http', 'own'] as const) {
  const where = role === 'http' ? 'on the HTTP server' : 'on a listener of its own'
  describe(`WebSocket ${where}, against clients that break the rules (TAPSWITCH_SEED=${randomSeed})`, () => {
    const random = new Random(randomSeed)

    const withRig = (test: (rig: WebSocketRig, open: () => Socket) => Promise<void>) => async () => {
      const rig = new WebSocketRig(role as Role, { maxFrameSize: 1518, queueFrames: 2048 })
      const sockets = new Set<Socket>()
      await rig.start({ maxPeers: 100, maxPeersPerAddress: 100 })
      const { port } = new URL(rig.url)
      const open = () => {
        const socket = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true })
        sockets.add(socket)
        socket.setNoDelay(true)
        socket.on('error', () => {}).on('data', () => {})
        socket.on('close', () => sockets.delete(socket))
        return socket
      }
      try {
        const bystanders = await Bystanders.join(rig)
        const assertBounded = watchMemory()
        await test(rig, open)
        await bystanders.leave()
        assertBounded()
        for (const socket of sockets) socket.destroy()
        await until(() => rig.transport().facts?.().clients === 0, 'every client is gone')
        await until(() => rig.dataPlane.ports.size === 0, 'and every port')
        assert.deepEqual(
          rig.log.lines.filter(({ level }) => level === 'error'),
          [],
        )
      } finally {
        for (const socket of sockets) socket.destroy()
        await rig.stop()
      }
    }

    it(
      'takes random bytes, before an upgrade, in its headers, and after it',
      withRig(async (_rig, open) => {
        const end = performance.now() + SECONDS * 1000
        while (performance.now() < end) {
          const bytes = Buffer.from(random.fill(new Uint8Array(random.between(1, 3000))))
          const socket = open()
          socket.write(
            random.pick([
              bytes,
              Buffer.concat([Buffer.from(upgrade('/ethernet')), bytes]),
              Buffer.from(upgrade('/ethernet', `X-Noise: ${bytes.toString('latin1')}\r\n`), 'latin1'),
              Buffer.concat([Buffer.from(upgrade('/ethernet')), Buffer.from([0x82, 0xff]), bytes]),
              Buffer.concat([Buffer.from(upgrade('/ethernet')), messages(random)]),
              Buffer.from(randomUpgrade(random), 'latin1'),
            ]),
          )
          setTimeout(() => socket.destroy(), random.between(0, 50))
          await new Promise(resolve => setTimeout(resolve, 2))
        }
      }),
    )

    it(
      `is opened and dropped ${CONNECTIONS} times`,
      withRig(async (rig, open) => {
        let opened = 0
        const one = async () => {
          while (opened < CONNECTIONS) {
            const number = opened++
            const socket = open()
            socket.once('connect', () => {
              if (number % 3 === 0) socket.write(upgrade('/ethernet'))
              if (number % 5 === 0) socket.resetAndDestroy()
              else socket.destroy()
            })
            await once(socket, 'close')
          }
        }
        await Promise.all(Array.from({ length: AT_ONCE }, one))
        await until(() => rig.transport().facts?.().clients === 2, 'only the two are left')
      }),
    )

    it(
      'is written to one byte at a time, and left in the middle',
      withRig(async (rig, open) => {
        const whole = Buffer.concat([Buffer.from(upgrade('/ethernet')), masked(frame(BROADCAST, BOB, 100))])
        const slow = [open(), open(), open()]
        for (let at = 0; at < whole.length - 1; at++) {
          for (const socket of slow) socket.write(whole.subarray(at, at + 1))
          await new Promise(resolve => setTimeout(resolve, 1))
        }
        await until(() => rig.transport().facts?.().clients === 5, 'all three were upgraded')
        slow[0]?.destroy()
        slow[1]?.end()
        // Half open: nothing more comes from it, and what goes to it is not read.
        slow[2]?.pause()
        await until(() => rig.transport().facts?.().clients === 3, 'those that ended are gone')
      }),
    )
  })
}

/** An upgrade that is nearly one: each part is right, wrong, noise, there twice, or missing. */
function randomUpgrade(random: Random): string {
  const noise = () => Buffer.from(random.fill(new Uint8Array(random.between(0, 40)))).toString('latin1')
  const header = (name: string, ...values: string[]) => {
    const value = random.pick([values[0], values[0], ...values, noise(), undefined])
    const line = value === undefined ? '' : `${name}: ${value}\r\n`
    return random.next() < 0.05 ? line + line : line
  }
  const path = random.pick([
    '/ethernet',
    '/ethernet',
    '/',
    '/v1/ports',
    '/ethernet/../metrics',
    'http://[',
    `/${noise()}`,
  ])
  return [
    `${random.pick(['GET', 'GET', 'GET', 'POST', 'OPTIONS', noise()])} ${path} HTTP/1.${random.pick(['1', '1', '0', '9'])}\r\n`,
    header('Host', '127.0.0.1', 'evil.example', '[::1', ''),
    header('Connection', 'Upgrade', 'keep-alive, Upgrade', 'close'),
    header('Upgrade', 'websocket', 'h2c', 'websocket, websocket'),
    header('Sec-WebSocket-Version', '13', '8', '13, 13'),
    header('Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ==', 'short', 'x'.repeat(5000)),
    random.pick(['', header('Sec-WebSocket-Protocol', 'token', ',,', 'a,'.repeat(300))]),
    random.pick(['', header('Sec-WebSocket-Extensions', 'permessage-deflate', ';;=', 'x'.repeat(5000))]),
    random.pick(['', header('Origin', 'http://127.0.0.1', 'null', 'https://evil.example')]),
    random.pick(['', header('Authorization', 'Bearer x', `Bearer ${'x'.repeat(3000)}`)]),
    random.pick(['', header('Content-Length', '0', '18446744073709551616', '-1')]),
    random.pick(['', header('X-Tapswitch-Instance', 'a', '', 'x'.repeat(300)), header('Transfer-Encoding', 'chunked')]),
    random.next() < 0.9 ? '\r\n' : '',
  ].join('')
}

/** A few well-formed messages with random content and opcodes. */
function messages(random: Random): Buffer {
  const count = random.between(1, 20)
  return Buffer.concat(
    Array.from({ length: count }, () => {
      const payload = random.fill(new Uint8Array(random.between(0, 300)))
      return masked(payload, random.pick([0x82, 0x82, 0x81, 0x02, 0x80, 0x89, 0x8a, 0x88, 0x83]))
    }),
  )
}

/** Masked with zeroes, which leaves it readable. */
function masked(payload: Uint8Array, first = 0x82): Buffer {
  const short = payload.length < 126
  const header = short ? Buffer.from([first, 0x80 | payload.length]) : Buffer.from([first, 0xfe, 0, 0])
  if (!short) header.writeUInt16BE(payload.length, 2)
  return Buffer.concat([header, Buffer.alloc(4), payload])
}
