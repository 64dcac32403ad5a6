/**
 * What an interface of vmnet does, whoever is behind it: the stand-in on Linux, vmnet itself on a Mac (test/macos).
 * Among them is an equal for each test of the Rust crate arcbox-net that asks for privileges.
 */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { host, shared } from '#src/vmnet/options.js'
import { VmnetInterface } from '#src/vmnet/vmnet-interface.js'
import { BROADCAST, bytesOf, frame } from '../support/frames.js'
import { until } from '../support/until.js'

const MAC = '02:00:00:00:00:4d'

export interface VmnetBehind {
  /** Start and stop cycles; a real one takes about 0.2 s. */
  cycles: number
  /** Whether nothing arrives that nobody sent. */
  quiet: boolean
  /** Whether somebody has the gateway's address and answers for it. */
  answers: boolean
}

export function vmnetSuite({ cycles, quiet, answers }: VmnetBehind): void {
  const within = async (options: Parameters<typeof VmnetInterface.start>[0], test: (up: VmnetInterface) => unknown) => {
    const up = await VmnetInterface.start(options)
    try {
      await test(up)
    } finally {
      await up.stop()
    }
  }

  it('starts shared, and knows what vmnet chose', () =>
    within(shared(), up => {
      assert.equal(up.running, true)
      assert.match(String(up.mac), /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
      assert.equal(up.mtu, 1500)
      assert.ok(up.maxPacketSize >= 1514)
      assert.ok(up.readMaxPackets >= 1 && up.writeMaxPackets >= 1)
      assert.match(String(up.startAddress), /^(10|172|192)\./)
    }))

  it('starts host-only', () =>
    within(host(), up => {
      assert.equal(up.running, true)
      assert.match(String(up.startAddress), /^(10|172|192)\./)
    }))

  it('stops, once, however often it is asked', async () => {
    const up = await VmnetInterface.start(shared())
    await Promise.all([up.stop(), up.stop()])
    assert.equal(up.running, false)
    assert.throws(() => up.read())
    assert.throws(() => up.write(frame(BROADCAST, MAC)))
    await up.stop()
  })

  it('reads nothing, and does not wait, when nothing is there', () =>
    within(shared(), up => {
      const frames = up.read()
      if (quiet) assert.deepEqual(frames, [])
      assert.ok(frames.length <= up.readMaxPackets)
    }))

  it('writes a broadcast', () => within(shared(), up => assert.equal(up.write(frame(BROADCAST, MAC)), 1)))

  it('goes by a MAC address of our own', () => within(shared().withMac(MAC), up => assert.equal(up.mac, MAC)))

  it('is given the range it asked for', () =>
    within(shared().withDhcpRange('192.168.77.1', '192.168.77.254', '255.255.255.0'), up =>
      assert.deepEqual([up.startAddress, up.subnetMask], ['192.168.77.1', '255.255.255.0']),
    ))

  if (answers)
    it('brings what it writes to the gateway, and the answer back, and tells of it', () =>
      within(shared().withDhcpRange('192.168.64.1', '192.168.64.254', '255.255.255.0'), async up => {
        const received: Uint8Array[] = []
        up.notify(() => {
          for (let batch = up.read(); batch.length > 0; batch = up.read()) received.push(...batch)
        })
        const isAnswer = (bytes: Uint8Array) =>
          Buffer.from(bytes.subarray(12, 22)).toString('hex') === '08060001080006040002'
        const ask = () => received.some(isAnswer) || void up.write(whoHasGateway)
        const timer = setInterval(ask, 200)
        ask()
        await until(() => received.some(isAnswer), 'the gateway answers').finally(() => clearInterval(timer))
        up.notify(null)
      }))

  it(`starts and stops ${cycles} times`, async () => {
    for (let i = 0; i < cycles; i++) await within(shared(), () => {})
  })
}

/** 192.168.64.99 asks everyone who has 192.168.64.1. */
const whoHasGateway = bytesOf(`
  ffffffffffff 02000000004d 0806
  0001 0800 06 04 0001  02000000004d c0a84063  000000000000 c0a84001`)
