/** SIGUSR1 makes Node.js listen for debuggers, without a password, for every user of the machine. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Lab } from '../../support/lab.js'
import { requirements } from '../../support/requires.js'

/** Ports on which any process of this machine listens for TCP over IPv4 on loopback. */
function listeners(): number[] {
  const LISTEN = '0A'
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .slice(1)
    .map(line => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === LISTEN)
    .map(([, address]) => Number.parseInt((address as string).split(':')[1] as string, 16))
}

describe('SIGUSR1', { ...requirements({ platform: 'linux' }), timeout: 60_000 }, () => {
  it('opens no debugger, in the switch or anywhere below it, and changes nothing else', async () => {
    const lab = await Lab.open()
    try {
      const running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
      const before = listeners().length
      for (let i = 0; i < 3; i++) running.kill('SIGUSR1')
      // Node.js takes about 20 ms to open the port; there is no event to wait for where it must not come.
      await delay(500)
      assert.ok(!listeners().includes(9229))
      assert.equal(listeners().length, before)
      assert.ok(!running.log.some(({ msg }) => /debugger/i.test(msg)), 'the log mentions no debugger')
      assert.equal((await fetch(`${running.url}/readyz`)).status, 200)
      assert.deepEqual(await running.stop(), { code: 0, signal: null })
    } finally {
      await lab.close()
    }
  })
})
