/**
 * Sockets that the switch, which is not root here, may not write to: of a peer, and one that was left at its own path.
 */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, existsSync, mkdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, BROADCAST, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { RawPeer } from '../support/raw-peer.js'
import { requirements } from '../support/requires.js'
import { SwitchProcess } from '../support/switch-process.js'

const USER = 65_534
const through = ['setpriv', '--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups', '--inh-caps=-all']
const needs = requirements({ platform: 'linux', root: true, commands: ['setpriv'] })

describe('a socket of another user', { ...needs, timeout: 60_000 }, () => {
  let lab: Lab
  let config: object

  beforeEach(async () => {
    lab = await Lab.open()
    chmodSync(lab.folder, 0o755)
    for (const [name, owner] of [
      ['run', USER],
      ['guests', 0],
    ] as const) {
      mkdirSync(lab.path(name), { mode: name === 'run' ? 0o700 : 0o755 })
      chownSync(lab.path(name), owner, owner)
    }
    const transports = [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }]
    config = { runtimeDir: lab.path('run'), transports }
  })
  afterEach(() => lab.close())

  it('is told of when a peer is bound to it, and the peer is served once it may be written to', async () => {
    const { api } = await lab.startSwitch(config, { through })
    const peer = lab.qemu('guests/vm.sock', 'run/vms.sock')
    chmodSync(lab.path('guests/vm.sock'), 0o755)
    for (let i = 0; i < 3; i++) await peer.send(frame(BROADCAST, ALICE))
    const { drops, findings } = await eventually(
      () => api.transport('vms'),
      ({ drops }) => drops['no-access'] === 3,
      'frames are counted',
    )
    assert.equal(drops['peer-gone'], 0)
    const told = findings.filter(({ code }) => code === 'peer-no-access')
    assert.equal(told.length, 1, JSON.stringify(findings))
    assert.match(told[0]?.message ?? '', /vm\.sock" sends frames, but this user may not write .* umask 002/)
    chmodSync(lab.path('guests/vm.sock'), 0o777)
    await peer.send(frame(BROADCAST, BOB))
    await eventually(
      () => api.ports(),
      ports => ports.some(port => port.up && port.peer === peer.path),
      'it is served',
    )
  })

  it('at the path to listen on, with or without a process, stops the start with its true cause', async () => {
    const path = lab.path('run/vms.sock')
    const left = RawPeer.bind(path)
    chmodSync(path, 0o755)
    for (const end of [() => {}, () => left.close()]) {
      end()
      const { code, errors } = await SwitchProcess.refused(lab.folder, { ...config, http: false }, { through })
      assert.equal(code, 1)
      assert.match(
        errors.map(({ msg }) => msg).join('\n'),
        /^transport "vms": ".*vms\.sock" is a socket of user 0, and this user may not see whether a process listens there: remove it/m,
      )
      assert.ok(existsSync(path))
    }
  })
})
