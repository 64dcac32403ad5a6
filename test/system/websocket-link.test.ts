/** Two switches, each with a VM, linked by wss with a certificate of an authority of their own. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { type Certificates, makeCertificates } from '../support/certificates.js'
import { eventually } from '../support/eventually.js'
import { freeTcpPort } from '../support/free-port.js'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'
import { transfer } from '../support/vm-transfer.js'

const addresses = ['10.9.0.1', '10.9.0.2'] as const
const needs = { ...vmNeeds, commands: [...(vmNeeds.commands ?? []), 'openssl'] }
const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock' }

describe('two switches linked by wss', { ...requirements(needs), timeout: 240_000 }, () => {
  let labs: Lab[] = []
  let certificates: Certificates
  let near: SwitchProcess
  let far: SwitchProcess
  let guests: Vm[] = []
  let url = ''

  const token = { file: 'link.token' }
  const farConfig = () => ({
    switch: { name: 'far' },
    transports: [
      vms,
      {
        name: 'web',
        type: 'websocket',
        listen: url.replace('wss://', ''),
        tls: { certificate: certificates.certificate, key: certificates.key },
        token,
      },
    ],
  })
  const nearConfig = (more: object = { ca: certificates.authority, token }) => ({
    switch: { name: 'near' },
    transports: [vms, { name: 'link', type: 'websocket', connect: url, ...more }],
  })
  const connected = () =>
    eventually(
      () => near.api.transport('link'),
      ({ facts }) => facts?.connected === true,
      'the link is there',
      30_000,
    )

  before(async () => {
    labs = [await Lab.open(), await Lab.open()]
    const [nearLab, farLab] = labs as [Lab, Lab]
    for (const lab of labs) writeFileSync(lab.path('link.token'), 'a-token-for-the-link-only', { mode: 0o600 })
    certificates = makeCertificates(farLab.folder)
    url = `wss://127.0.0.1:${await freeTcpPort()}/ethernet`
    far = await farLab.startSwitch(farConfig())
    near = await nearLab.startSwitch(nearConfig())
    guests = await Vm.startAll(
      addresses.map((ip, i) => ({
        name: `vm${i}`,
        mac: `52:54:00:00:00:0${i + 1}`,
        ip: `${ip}/24`,
        netdevArgs: dgramNetdev({ local: (labs[i] as Lab).path('vm.sock'), remote: (labs[i] as Lab).path('vms.sock') }),
      })),
    )
    nearLab.onClose(() => Promise.all(guests.map(vm => vm.stop())))
  })

  after(async () => {
    for (const lab of labs) await lab.close()
  })

  const ping = (from: number) =>
    guests[from]?.sh(`ping -c 10 -i 0.1 -w 30 ${addresses[1 - from]}`, { timeoutMs: 40_000 })

  it('ping through the link, each the other', async () => {
    await connected()
    await ping(0)
    for (const from of [0, 1]) assert.match(String(await ping(from)), / 0% packet loss/)
  })

  it('show who is at the other end', async () => {
    const { facts } = await connected()
    assert.deepEqual([facts?.remoteSwitch, facts?.remoteMaxFrameSize], ['far', 1518])
    assert.deepEqual((await far.api.transport('web')).facts?.switches, ['near (frames of up to 1518 bytes)'])
    const peers = (await far.api.ports()).map(({ peer }) => peer ?? '')
    assert.ok(
      peers.some(peer => /^near at 127\.0\.0\.1:\d+$/.test(peer)),
      peers.join(),
    )
  })

  it('move 50 MB whose checksum matches', async t => {
    const [from, to] = guests as [Vm, Vm]
    const result = await transfer({ from, to, address: addresses[1], bytes: 50_000_000 })
    t.diagnostic(`${result.megabitsPerSecond.toFixed(0)} Mbit/s, ${result.retransmitted} segments retransmitted`)
  })

  it('find each other again after the far one was killed, on the same port of the near one', async () => {
    const id = (await near.api.ports()).find(({ name }) => name === 'link')?.id
    far.kill('SIGKILL')
    await far.exited
    await near.logged(({ event }) => event === 'disconnected')
    far = await (labs[1] as Lab).startSwitch(farConfig())
    await connected()
    assert.equal((await near.api.ports()).find(({ name }) => name === 'link')?.id, id)
    // The far VM is unknown to its new switch until it says something.
    await guests[1]?.sh(`ping -c 5 -w 20 ${addresses[0]}`, { timeoutMs: 30_000 })
    for (const from of [0, 1]) assert.match(String(await ping(from)), / 0% packet loss/)
  })

  it('refuse each other with a reason: no token, an authority that is not known', async () => {
    const reload = (more: object) => near.reload({ ...nearConfig(more), http: { listen: '127.0.0.1:0' } })
    const failure = async (pattern: RegExp) =>
      near.logged(({ event, msg }) => event === 'connect-failed' && pattern.test(msg), 20_000)
    await reload({ ca: certificates.authority })
    await failure(/it answers 401: A token is needed/)
    await reload({ token })
    await failure(/unable to verify|self.signed|unknown|local issuer/i)
    await reload({ ca: certificates.authority, token })
    await connected()
  })
})
