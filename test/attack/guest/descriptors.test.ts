/**
 * A guest that connects, sends a frame and closes, over and over, or that connects and stays, where the switch may have
 * 256 open files. The API goes on answering, and so do guests of other transports.
 */
import assert from 'node:assert/strict'
import { readdirSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { encodePrefix } from '#src/transports/stream/framing.js'
import { eventually } from '../../support/eventually.js'
import { ALICE, BOB, BROADCAST, frame, vfktHandshake } from '../../support/frames.js'
import { Lab } from '../../support/lab.js'
import { RawPeer } from '../../support/raw-peer.js'
import { requirements } from '../../support/requires.js'
import { scale } from '../../support/scale.js'
import type { SwitchProcess } from '../../support/switch-process.js'

const LIMIT = 256
const MALLORY = '02:00:00:00:00:66'
const ROUNDS = Math.round(400 * scale)
/** More than all transports together may have. */
const CONNECTIONS = 300
const maxPeers = 500

describe(`guests and the ${LIMIT} open files of the switch`, requirements({ platform: 'linux' }), () => {
  let lab: Lab
  let running: SwitchProcess
  const sockets: { destroy(): void }[] = []

  beforeEach(async () => {
    lab = await Lab.open()
    const transports = [
      { name: 'vms', type: 'unixgram', listen: 'vms.sock', maxPeers },
      { name: 'other', type: 'unixgram', listen: 'other.sock' },
      { name: 'streams', type: 'stream', listen: 'stream.sock', maxPeers },
      { name: 'web', type: 'websocket', listen: '127.0.0.1:0/ethernet', maxPeers, maxPeersPerAddress: maxPeers },
    ]
    const through = ['/bin/sh', '-c', `ulimit -n ${LIMIT}; exec "$@"`, 'sh']
    running = await lab.startSwitch({ transports, switch: { maxPorts: 1000 } }, { through })
  })

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await lab.close()
  })

  const open = () => readdirSync(`/proc/${running.pid}/fd`).length
  const drops = async (name: string) => (await running.api.transport(name)).drops['descriptor-limit']

  /** API, metrics, another transport's guests, and a guest that comes only now. */
  const assertAllGoesOn = async () => {
    assert.ok(open() < LIMIT - 32, `${open()} open files`)
    assert.equal((await fetch(`${running.url}/readyz`)).status, 200)
    assert.equal((await fetch(`${running.url}/metrics`)).status, 200)
    const [alice, bob] = [lab.vfkit('alice.sock', 'other.sock'), lab.qemu('bob.sock', 'other.sock')]
    await bob.send(frame(BROADCAST, BOB))
    await eventually(
      () => running.api.ports(),
      ports => ports.some(({ peer }) => peer === bob.path),
      'Bob is known',
    )
    await alice.send(frame(BOB, ALICE, 77))
    let got: Uint8Array
    do got = await bob.receive()
    while (got.length !== 77)
  }

  it('unixgram: connect, one frame, close, again and again', async () => {
    const path = lab.path('mallory.sock')
    for (let round = 0; round < ROUNDS; round++) {
      const peer = RawPeer.bind(path, { connectTo: lab.path('vms.sock') })
      peer.sendNow([vfktHandshake, frame(BROADCAST, MALLORY)])
      peer.close({ unlink: true })
      if (round % 4 === 0) await delay(1)
    }
    await assertAllGoesOn()
  })

  it('unixgram: many guests, each with a name of its own', async () => {
    for (let i = 0; i < CONNECTIONS; i++) {
      const peer = RawPeer.bind(lab.path(`m${i}.sock`), { sendTo: lab.path('vms.sock') })
      sockets.push({ destroy: () => peer.close() })
      await peer.send(frame(BROADCAST, MALLORY))
      peer.receiveNow()
    }
    await assertAllGoesOn()
    for (let i = 0; i < CONNECTIONS; i++) rmSync(lab.path(`m${i}.sock`))
  })

  it('stream: connections that stay', async () => {
    for (let i = 0; i < CONNECTIONS; i++) {
      const socket: Socket = connect(lab.path('stream.sock'))
      socket.on('error', () => {})
      socket.resume()
      socket.write(Buffer.concat([encodePrefix('qemu', 60), frame(BROADCAST, MALLORY)]))
      sockets.push(socket)
    }
    for (let tries = 0; (await drops('streams')) === 0 && tries < 200; tries++) await delay(20)
    assert.ok((await drops('streams')) > 0, 'refused with a reason')
    await assertAllGoesOn()
  })

  it('websocket: clients that stay', async () => {
    const { listen } = await running.api.transport('web')
    await Promise.all(
      Array.from({ length: CONNECTIONS / 3 }, async () => {
        const ws = new WebSocket(listen)
        sockets.push({ destroy: () => ws.terminate() })
        await new Promise(resolve => ws.once('open', resolve).once('error', resolve))
      }),
    )
    for (let tries = 0; (await drops('web')) === 0 && tries < 200; tries++) await delay(50)
    assert.ok((await drops('web')) > 0, 'refused with a reason')
    await assertAllGoesOn()
  })
})
