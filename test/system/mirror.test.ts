/** A mirror port of the running switch sees what passes at others, and is no part of the switch itself. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { controlHeaders } from '../support/control-tokens.js'
import { eventually } from '../support/eventually.js'
import { ALICE, arpReply, arpRequest, BOB, CAROL, frame, groupSource, ipv4Echo } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import type { RawPeer } from '../support/raw-peer.js'
import type { SwitchApi } from '../support/switch-api.js'

const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock' }
const carolOnly = { name: 'carols', type: 'unixgram', listen: 'carols.sock' }
const watch = (mirrors: string[]) => ({
  name: 'watch',
  type: 'unixgram',
  listen: 'watch.sock',
  peers: 'one',
  port: { mirrors },
})

describe('a mirror port', { timeout: 60_000 }, () => {
  let lab: Lab
  let api: SwitchApi
  let alice: RawPeer
  let bob: RawPeer
  let carol: RawPeer
  let watcher: RawPeer

  beforeEach(async () => {
    lab = await Lab.open()
  })

  afterEach(() => lab.close())

  /** Alice and Bob are on vms, Carol on a transport of her own; the switch knows all of them. */
  async function start(mirrors: string[]): Promise<void> {
    api = (await lab.startSwitch({ transports: [vms, carolOnly, watch(mirrors)] })).api
    alice = lab.qemu('alice.sock', 'vms.sock')
    bob = lab.qemu('bob.sock', 'vms.sock')
    carol = lab.qemu('carol.sock', 'carols.sock')
    await alice.send(arpRequest)
    await eventually(
      () => api.fdb(),
      entries => entries.length === 1,
      'Alice',
    )
    await bob.send(arpReply)
    await carol.send(frame(ALICE, CAROL, 60))
    await eventually(
      () => api.fdb(),
      entries => entries.length === 3,
      'three stations',
    )
    assert.deepEqual(await alice.receive(), arpReply)
    assert.deepEqual(await alice.receive(), frame(ALICE, CAROL, 60))
    watcher = lab.qemu('watcher.sock', 'watch.sock')
    await watcher.send(arpRequest)
    await eventually(
      async () => (await api.ports()).find(({ name }) => name === 'watch'),
      port => port?.up === true && port.counters.receiveDrops['port-down'] === 1,
      'the mirror is up, and what it sent is dropped',
    )
  }

  it('gets every frame of a transport once, whether one of its ports or several see it', async () => {
    await start(['vms'])
    await alice.send(ipv4Echo)
    assert.deepEqual(await bob.receive(), ipv4Echo)
    await alice.send(arpRequest)
    assert.deepEqual(await bob.receive(), arpRequest)
    await alice.send(groupSource)
    await carol.send(frame(BOB, CAROL, 70))
    assert.deepEqual(await bob.receive(), frame(BOB, CAROL, 70))
    for (const expected of [ipv4Echo, arpRequest, groupSource, frame(BOB, CAROL, 70)]) {
      assert.deepEqual(await watcher.receive(), expected)
    }
  })

  it('sees nothing of ports that it does not watch', async () => {
    await start(['carols'])
    await alice.send(ipv4Echo)
    assert.deepEqual(await bob.receive(), ipv4Echo)
    await alice.send(frame(CAROL, ALICE, 60))
    assert.deepEqual(await carol.receive(), frame(CAROL, ALICE, 60))
    assert.deepEqual(await watcher.receive(), frame(CAROL, ALICE, 60))
  })

  it('watches everything', async () => {
    await start(['*'])
    for (const sent of [ipv4Echo, frame(CAROL, ALICE, 61)]) {
      await alice.send(sent)
      assert.deepEqual(await watcher.receive(), sent)
    }
  })

  it('is not learned, and nothing is flooded to it', async () => {
    await start(['nobody'])
    await alice.send(arpRequest)
    assert.deepEqual(await bob.receive(), arpRequest)
    const entries = await api.fdb()
    assert.deepEqual(entries.map(({ mac }) => mac).sort(), [ALICE, BOB, CAROL].sort())
    assert.equal((await api.portOf(lab.path('watcher.sock'))).counters.transmitFrames, 0)
  })

  it('can be made of any port, and be an ordinary one again, while the switch runs', async () => {
    await start(['nobody'])
    const { id } = await api.portOf(lab.path('watcher.sock'))
    const setMirrors = async (mirrors: string[] | null) => {
      const response = await fetch(`${api.url}/v1/ports/${id}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json', ...controlHeaders(api.url) },
        body: JSON.stringify({ mirrors }),
      })
      assert.equal(response.status, 200)
      assert.deepEqual((await api.port(id)).mirrors, mirrors?.length === 0 ? null : (mirrors ?? ['nobody']))
    }
    await setMirrors(['vms:1'])
    await alice.send(ipv4Echo)
    assert.deepEqual(await watcher.receive(), ipv4Echo)
    await setMirrors([])
    await alice.send(arpRequest)
    assert.deepEqual(await watcher.receive(), arpRequest)
    await watcher.send(frame(ALICE, '02:00:00:00:00:0d', 64))
    assert.deepEqual(await alice.receive(), frame(ALICE, '02:00:00:00:00:0d', 64))
    await setMirrors(null)
    assert.ok((await api.fdb()).every(({ mac }) => mac !== '02:00:00:00:00:0d'))
  })
})
