/**
 * vmnet itself. Needs root, or from macOS 26 on the signed copy of node; without either these fail and say so, because
 * to show this is what `npm run test:macos` is for.
 */
import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { describe, it } from 'node:test'
import { bridged } from '#src/vmnet/options.js'
import { VmnetInterface } from '#src/vmnet/vmnet-interface.js'
import { vmnetSuite } from '../conformance/vmnet-suite.js'
import { Lab } from '../support/lab.js'

describe('vmnet.framework', { timeout: 100_000 }, () => {
  vmnetSuite({ cycles: 20, quiet: false, answers: true })

  it('bridges to the interface that has an address', async t => {
    const name = Object.entries(networkInterfaces()).find(
      ([device, addresses = []]) => device.startsWith('en') && addresses.some(({ family }) => family === 'IPv4'),
    )?.[0]
    if (name === undefined) return t.skip('needs an en interface with an address')
    const up = await VmnetInterface.start(bridged(name))
    t.diagnostic(`${name}: MTU ${up.mtu}, frames of up to ${up.maxPacketSize} bytes, batches of ${up.readMaxPackets}`)
    await up.stop()
  })

  it('is the uplink of a switch that starts, is ready and stops', async () => {
    const lab = await Lab.open()
    try {
      const running = await lab.startSwitch({
        interfaces: [{ name: 'uplink', type: 'vmnet', mode: 'shared' }],
        transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
      })
      assert.ok((await running.api.ports()).some(({ name }) => name === 'uplink'))
      assert.deepEqual(await running.stop(), { code: 0, signal: null })
    } finally {
      await lab.close()
    }
  })
})
