/** SIGUSR1 makes Node.js listen for debuggers, without a password, for every user of the machine. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Lab } from '../../support/lab.js'
import { requirements } from '../../support/requires.js'

/** Ports on which this process listens for TCP over IPv4. */
function listeners(pid: number): number[] {
  const LISTEN = '0A'
  const own = readdirSync(`/proc/${pid}/fd`).map(fd => linkAt(`/proc/${pid}/fd/${fd}`))
  return readFileSync(`/proc/${pid}/net/tcp`, 'utf8')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(fields => fields[3] === LISTEN && own.includes(`socket:[${fields[9]}]`))
    .map(([, address]) => Number.parseInt((address as string).split(':')[1] as string, 16))
}

function linkAt(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

describe('SIGUSR1', { ...requirements({ platform: 'linux' }), timeout: 60_000 }, () => {
  it('opens no debugger, in the switch or anywhere below it, and changes nothing else', async () => {
    const lab = await Lab.open()
    try {
      const running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
      const before = listeners(running.pid)
      assert.equal(before.length, 1, 'the API')
      for (let i = 0; i < 3; i++) running.kill('SIGUSR1')
      // Node.js takes about 20 ms to open the port; there is no event to wait for where it must not come.
      await delay(500)
      assert.deepEqual(listeners(running.pid), before)
      assert.ok(!running.log.some(({ msg }) => /debugger/i.test(msg)), 'the log mentions no debugger')
      assert.equal((await fetch(`${running.url}/readyz`)).status, 200)
      assert.deepEqual(await running.stop(), { code: 0, signal: null })
    } finally {
      await lab.close()
    }
  })
})
