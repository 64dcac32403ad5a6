import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { planOf } from '#src/vmnet/network.js'
import { shared } from '#src/vmnet/options.js'
import type { VmnetError } from '#src/vmnet/status.js'
import { VmnetInterface } from '#src/vmnet/vmnet-interface.js'
import { requirements } from '../../support/requires.js'
import { standinNeeds } from '../../support/vmnet-standin.js'
import { useStandin } from './use-standin.js'

const whole = { dhcpStart: '10.20.0.1', dhcpEnd: '10.20.0.254', subnetMask: '255.255.255.0' }
const uuid = '6a1f3c52-7d0e-4a52-9b1f-0123456789ab'

describe('the way to make a network', () => {
  it('is a network object where the system has them and they can say all of it', () => {
    for (const options of [{}, { mode: 'host' }, whole, { ...whole, mtu: 1400 }, { nat66Prefix: 'fd00::' }] as const) {
      assert.equal(planOf(options, true), 'network-or-classic')
      assert.equal(planOf(options, false), 'classic')
    }
  })

  it('is the classic call where only that can say it, or it is asked for', () => {
    for (const options of [
      { mode: 'bridged', bridgeInterface: 'en0' },
      { ...whole, dhcpEnd: '10.20.0.99' },
      { ...whole, dhcpStart: '10.20.0.9' },
      { interfaceId: uuid },
      { mode: 'host', networkId: uuid },
      { isolated: true },
      { api: 'classic' },
    ] as const) {
      assert.equal(planOf(options, true), 'classic')
    }
  })

  it('is the network object and nothing else where only that can say it', () => {
    const needing = [
      { dhcp: false },
      { ...whole, reservations: [{ mac: '02:00:00:00:00:02', address: '10.20.0.9' }] },
      { externalInterface: 'en1' },
    ]
    for (const options of needing) {
      assert.equal(planOf(options, true), 'network')
      assert.throws(() => planOf(options, false), /needs macOS 26/)
    }
  })
})

describe('a network object', requirements(standinNeeds), () => {
  it('gets what was asked for: subnet, MTU, reservations, DHCP off, external interface, prefix', async () => {
    const standin = useStandin()
    const reservations = [
      { mac: '02:00:00:00:00:02', address: '10.20.0.9' },
      { mac: '02:00:00:00:00:03', address: '10.20.0.10' },
    ]
    const first = await VmnetInterface.start({
      ...whole,
      mtu: 1400,
      reservations,
      externalInterface: 'en1',
      nat66Prefix: 'fd12:3456:789a:1::',
    })
    assert.equal(first.onNetworkObject, true)
    assert.deepEqual(
      [first.mtu, first.maxPacketSize, first.startAddress, first.subnetMask],
      [1400, 1414, '10.20.0.1', '255.255.255.0'],
    )
    const described = standin.describe().network
    assert.deepEqual(
      [described?.mtu, described?.external, described?.dhcp, described?.reservations],
      [1400, 'en1', true, 2],
    )
    await first.stop()
    const second = await VmnetInterface.start({ mode: 'host', dhcp: false })
    assert.deepEqual([standin.describe().network?.mode, standin.describe().network?.dhcp], [1000, false])
    await second.stop()
    await standin.nothingLeft()
  })

  it('is given up for the classic call when it fails, unless something needs it', async () => {
    const standin = useStandin('network-status 1002 1')
    const heard: Error[] = []
    const started = await VmnetInterface.start(shared(), { onFallback: error => heard.push(error) })
    assert.equal(started.onNetworkObject, false)
    assert.equal((heard[0] as VmnetError).code, 'TAPSWITCH_VMNET_MEM_FAILURE')
    await started.stop()
    standin.control('network-status 1002 1')
    await assert.rejects(VmnetInterface.start({ dhcp: false }), { code: 'TAPSWITCH_VMNET_MEM_FAILURE' })
    standin.control('start-status 1010 1')
    await assert.rejects(VmnetInterface.start({ dhcp: false }), { code: 'TAPSWITCH_VMNET_NOT_AUTHORIZED' })
    await standin.nothingLeft()
  })

  it('is not there on an older system, and nothing misses it that does not need it', async () => {
    const standin = useStandin('', 'vmnet-classic.so')
    const started = await VmnetInterface.start({ ...whole, mtu: 1400 })
    assert.deepEqual([started.onNetworkObject, started.mtu, standin.describe().network], [false, 1400, null])
    await started.stop()
    await assert.rejects(VmnetInterface.start({ dhcp: false }), /needs macOS 26/)
    await standin.nothingLeft()
  })
})
