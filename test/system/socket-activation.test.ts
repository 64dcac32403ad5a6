/**
 * A socket that systemd made: a VM connects to it before there is a switch, and is served by the one that starts for
 * it.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { BROADCAST, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import { StreamPeer } from '../support/stream-peer.js'
import { SwitchProcess } from '../support/switch-process.js'
import { until } from '../support/until.js'

const ALICE = '02:00:00:00:00:0a'
const needs = requirements({ platform: 'linux', commands: ['systemd-socket-activate'] })

describe('socket activation', { ...needs, timeout: 60_000 }, () => {
  let lab: Lab

  before(async () => {
    lab = await Lab.open()
  })
  after(() => lab.close())

  const through = () => ['systemd-socket-activate', '-l', lab.path('vms.sock'), '--fdname=vms']

  it('serves whoever connected before the switch was there', async () => {
    const starting = lab.startSwitch(
      { transports: [{ name: 'vms', type: 'stream', listen: 'systemd:vms' }] },
      { through: through() },
    )
    starting.catch(() => {})
    await until(() => existsSync(lab.path('vms.sock')), 'the socket is there')
    // The first connection is what starts the switch.
    const socket = connect(lab.path('vms.sock'))
    await once(socket, 'connect')
    const early = new StreamPeer(socket)
    await early.send([frame(BROADCAST, ALICE)])
    const running = await starting
    const late = await StreamPeer.connect({ path: lab.path('vms.sock') })
    await until(() => !early.ended && !late.ended, 'both are connected')
    const { listen: where } = await running.api.transport('vms')
    assert.equal(where, 'systemd:vms')
    await late.send([frame(ALICE, '02:00:00:00:00:0b', 99)])
    assert.equal((await early.receive(1))[0]?.length, 99)
    early.leave()
    late.leave()
  })

  it('says which name it has no socket for', async () => {
    const { code, errors } = await SwitchProcess.refused(lab.folder, {
      http: false,
      transports: [{ name: 'vms', type: 'stream', listen: 'systemd:vms' }],
    })
    assert.equal(code, 1)
    assert.match(JSON.stringify(errors), /systemd passed no socket named \\"vms\\"/)
  })
})
