import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { modeNumber } from '#src/vmnet/description.js'
import {
  bridged,
  host,
  shared,
  VmnetBuilder,
  type VmnetOptions,
  vmnetDefaults,
  vmnetProblems,
} from '#src/vmnet/options.js'

/** The options that were given, without those that were not. */
const given = (options: VmnetOptions) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

describe('options of a vmnet interface', () => {
  it('are shared mode, and nothing else, when none is given', () => {
    assert.deepEqual(given(new VmnetBuilder()), { mode: 'shared' })
    const { mode, isolated, enableTso, enableChecksumOffload } = vmnetDefaults
    assert.deepEqual([mode, isolated, enableTso, enableChecksumOffload], ['shared', false, false, false])
    assert.deepEqual(vmnetProblems({}), [])
  })

  it('start from a mode', () => {
    assert.deepEqual(given(shared()), { mode: 'shared' })
    assert.deepEqual(given(host()), { mode: 'host' })
    assert.deepEqual(given(bridged('en0')), { mode: 'bridged', bridgeInterface: 'en0' })
  })

  it('are added step by step', () => {
    const options = host()
      .withMac('02:00:00:00:00:01')
      .withMtu(9000)
      .withDhcpRange('10.0.0.1', '10.0.0.99')
      .withSubnetMask('255.255.255.0')
      .withIsolation()
    assert.deepEqual(given(options), {
      mode: 'host',
      mac: '02:00:00:00:00:01',
      mtu: 9000,
      dhcpStart: '10.0.0.1',
      dhcpEnd: '10.0.0.99',
      subnetMask: '255.255.255.0',
      isolated: true,
    })
    assert.deepEqual(vmnetProblems(options), [])
  })

  it('are not changed by a step: each gives new ones', () => {
    const before = shared()
    const after = before.withMtu(9000)
    assert.notEqual(after, before)
    assert.deepEqual(given(before), { mode: 'shared' })
    assert.deepEqual(given(after), { mode: 'shared', mtu: 9000 })
    assert.deepEqual(given(new VmnetBuilder(after)), given(after))
  })

  it('take a jumbo MTU', () => assert.deepEqual(vmnetProblems(shared().withMtu(9000)), []))

  it('have the numbers that vmnet has for its modes', () =>
    assert.deepEqual(modeNumber, { host: 1000, shared: 1001, bridged: 1002 }))
})
