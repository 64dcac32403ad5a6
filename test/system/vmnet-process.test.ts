/**
 * The running switch and its vmnet interface from start to end: refusals, reloads, signals, and nothing left behind.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import { SwitchProcess } from '../support/switch-process.js'
import { standinEnvironment, standinNeeds, standinReport } from '../support/vmnet-standin.js'

const transports = [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }]
const uplink = { name: 'uplink', type: 'vmnet', mode: 'shared' }

describe('a switch with a vmnet interface', { ...requirements(standinNeeds), timeout: 180_000 }, () => {
  let lab: Lab
  beforeEach(async () => {
    lab = await Lab.open()
  })
  afterEach(() => lab.close())

  const env = (commands = '') => standinEnvironment(`report ${lab.path('report')}; ${commands}`)
  const report = () => standinReport(lab.path('report'))
  const refused = (commands: string, interfaces: object[]) =>
    SwitchProcess.refused(lab.folder, { interfaces, transports }, { env: env(commands) })

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`stops it on ${signal}, waits for it, and keeps nothing`, async () => {
      const running = await lab.startSwitch({ interfaces: [uplink], transports }, { env: env('stop-delay 200000') })
      const since = performance.now()
      running.kill(signal)
      assert.deepEqual(await running.exited, { code: 0, signal: null })
      assert.ok(performance.now() - since >= 200)
      assert.deepEqual(report(), { started: 1, stopped: 1, live: 0 })
    })
  }

  it('brings a frame to vmnet, and one from vmnet to the peer it is for', async () => {
    await lab.startSwitch({ interfaces: [uplink], transports }, { env: env('backend echo') })
    const alice = lab.qemu('alice.sock', 'vms.sock')
    await alice.send(frame(BOB, ALICE, 100))
    assert.deepEqual(Buffer.from(await alice.receive()), Buffer.from(frame(ALICE, BOB, 100)))
  })

  for (const [status, words] of [
    [1010, /root|entitle|sign/i],
    [1001, /root|entitle|sign/i],
    [1009, /Internet Sharing/],
  ] as const) {
    it(`does not start where vmnet says ${status}: one sentence, and nothing left`, async () => {
      const { code, errors } = await refused(`start-status ${status}`, [uplink])
      assert.equal(code, 1)
      const told = errors.filter(({ level }) => level === 'error' || level === 'fatal')
      assert.equal(told.length, 1, JSON.stringify(errors))
      assert.match(told[0]!.msg, words)
      assert.equal(report().live, 0)
      assert.ok(!existsSync(lab.path('vms.sock')))
    })
  }

  it('stops the first interface when the second does not start', async () => {
    // The second wants the subnet of the first, in the other mode.
    const range = { dhcpStart: '10.40.0.1', dhcpEnd: '10.40.0.99', subnetMask: '255.255.255.0' }
    const { code } = await refused('', [
      { ...uplink, ...range },
      { name: 'second', type: 'vmnet', mode: 'host', ...range },
    ])
    assert.equal(code, 1)
    assert.deepEqual(report(), { started: 1, stopped: 1, live: 0 })
  })

  it('is refused on Linux unless the stand-in is named', async () => {
    const { code, errors } = await SwitchProcess.refused(lab.folder, { interfaces: [uplink], transports })
    assert.equal(code, process.platform === 'linux' ? 1 : code)
    assert.match(JSON.stringify(errors), /vmnet[^"]*macOS/)
  })

  it('says which library it could not load', async () => {
    const missing = { TAPSWITCH_VMNET_LIBRARY: lab.path('missing.so') }
    const { code, errors } = await SwitchProcess.refused(
      lab.folder,
      { interfaces: [uplink], transports },
      { env: missing },
    )
    assert.equal(code, 1)
    assert.match(JSON.stringify(errors), /missing\.so/)
  })

  it('is started and stopped by reloads, while peers go on', async () => {
    const running = await lab.startSwitch({ transports }, { env: env() })
    const names = async () => (await running.api.ports()).map(({ name }) => name)
    const present = (wanted: boolean) =>
      eventually(names, ports => ports.includes('uplink') === wanted, `uplink ${wanted ? 'is' : 'is not'} there`)
    for (let i = 0; i < 3; i++) {
      await running.reload({ interfaces: [uplink], transports, http: { listen: '127.0.0.1:0' } })
      await present(true)
      await running.reload({ transports, http: { listen: '127.0.0.1:0' } })
      await present(false)
    }
    await running.stop()
    assert.deepEqual(report(), { started: 3, stopped: 3, live: 0 })
  })

  it('goes on as it is when a reload asks vmnet for what it refuses', async () => {
    const running = await lab.startSwitch({ interfaces: [uplink], transports }, { env: env() })
    const http = { listen: '127.0.0.1:0' }
    const wrong = { name: 'lan', type: 'vmnet', mode: 'bridged', bridgeInterface: 'en9' }
    const line = await running.reload({ interfaces: [uplink, wrong], transports, http })
    assert.match(line.msg, /not reloaded/)
    assert.deepEqual(
      (await running.api.ports()).map(({ name }) => name),
      ['uplink'],
    )
    await running.stop()
    assert.deepEqual(report(), { started: 1, stopped: 1, live: 0 })
  })
})
