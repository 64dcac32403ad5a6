import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError } from '#src/errors.js'
import { blocksInUse, blocksMade } from '#src/vmnet/blocks.js'
import { bridged, host, shared } from '#src/vmnet/options.js'
import { VmnetError } from '#src/vmnet/status.js'
import { VmnetInterface } from '#src/vmnet/vmnet-interface.js'
import { ALICE, BROADCAST, frame } from '../../support/frames.js'
import { requirements } from '../../support/requires.js'
import { until } from '../../support/until.js'
import { type Standin, standinNeeds } from '../../support/vmnet-standin.js'
import { useStandin } from './use-standin.js'

const needs = requirements(standinNeeds)
const hello = frame(BROADCAST, ALICE)

describe('an interface that starts', needs, () => {
  let standin: Standin
  beforeEach(() => {
    standin = useStandin()
  })
  afterEach(() => standin.nothingLeft())

  const withInterface = async (
    options: Parameters<typeof VmnetInterface.start>[0],
    test: (started: VmnetInterface) => void | Promise<void>,
  ) => {
    const started = await VmnetInterface.start(options)
    try {
      await test(started)
    } finally {
      await started.stop()
    }
  }

  it('knows what vmnet said: address, sizes, batches, range, id', () =>
    withInterface({ mode: 'shared', api: 'classic' }, started => {
      assert.match(started.mac ?? '', /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)
      assert.match(started.interfaceId ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      const { mtu, maxPacketSize, readMaxPackets, writeMaxPackets, running } = started
      assert.deepEqual([mtu, maxPacketSize, readMaxPackets, writeMaxPackets, running], [1500, 1514, 256, 256, true])
      assert.deepEqual(
        [started.startAddress, started.endAddress, started.subnetMask],
        ['192.168.64.1', '192.168.64.254', '255.255.255.0'],
      )
      assert.match(started.nat66Prefix ?? '', /^fd.*::$/)
    }))

  it('takes the documented limits where vmnet reports none', async () => {
    standin.control('report-limits 0')
    await withInterface(shared(), ({ readMaxPackets, writeMaxPackets }) =>
      assert.deepEqual([readMaxPackets, writeMaxPackets], [200, 200]),
    )
  })

  for (const [name, options, expected] of [
    ['shared()', shared(), { mode: 1001 }],
    ['host()', host(), { mode: 1000 }],
    ["bridged('en0')", bridged('en0'), { mode: 1002, bridge: 'en0' }],
    ['an MTU', shared().withMtu(9000), { mtu: 9000 }],
    ['a MAC address', shared().withMac('02:00:00:00:00:01').with({ api: 'classic' }), { allocateMac: false }],
    ['isolation', host().withIsolation(), { isolation: true, hasInterfaceId: true }],
    [
      'an id',
      shared().withInterfaceId('6a1f3c52-7d0e-4a52-9b1f-0123456789ab'),
      { hasInterfaceId: true, network: null },
    ],
    [
      'a network id',
      host().with({ networkId: '6a1f3c52-7d0e-4a52-9b1f-0123456789ab', hostAddress: '10.9.0.1/24' }),
      { ownNetwork: true },
    ],
    ['offloads', shared().with({ enableTso: true, enableChecksumOffload: true }), { tso: true, checksumOffload: true }],
  ] as const) {
    it(`with ${name} is described to vmnet so`, () =>
      withInterface(options, () => {
        const described = standin.describe() as unknown as Record<string, unknown>
        for (const [key, value] of Object.entries(expected)) assert.deepEqual(described[key], value, key)
      }))
  }

  it('has the DHCP range it was given', async () => {
    const range = shared().withDhcpRange('10.20.0.1', '10.20.0.99', '255.255.255.0')
    await withInterface(range, ({ startAddress, endAddress, subnetMask, onNetworkObject }) => {
      assert.deepEqual([startAddress, endAddress, subnetMask], ['10.20.0.1', '10.20.0.99', '255.255.255.0'])
      assert.equal(onNetworkObject, false, 'a range that ends early')
    })
  })

  it('with the same id has the same address again', async () => {
    const options = shared().withInterfaceId('6a1f3c52-7d0e-4a52-9b1f-0123456789ab')
    const macs: (string | null)[] = []
    for (let i = 0; i < 2; i++) await withInterface(options, ({ mac }) => void macs.push(mac))
    assert.equal(macs[0], macs[1])
  })

  it('goes by the address it was given', () =>
    withInterface({ mac: '02-00-00-00-00-0A' }, ({ mac }) => assert.equal(mac, '02:00:00:00:00:0a')))

  it('reads nothing when nothing waits', () => withInterface({}, started => assert.deepEqual(started.read(), [])))

  it('reads what waits, in batches of what vmnet allows, with its real lengths', () =>
    withInterface({}, started => {
      for (let length = 14; length <= 1514; length += 5) standin.inject(frame(BROADCAST, ALICE, length))
      const first = started.read()
      const rest = started.read()
      assert.equal(first.length, 173, '256 KiB of frames of 1514 bytes')
      assert.deepEqual(
        [...first, ...rest].map(({ length }) => length),
        Array.from({ length: 301 }, (_, i) => 14 + 5 * i),
      )
    }))

  it('writes a frame, and many', () =>
    withInterface({}, started => {
      assert.equal(started.write(hello), 1)
      assert.deepEqual(standin.take(), Buffer.from(hello))
      assert.equal(started.write(Array.from({ length: 400 }, (_, i) => frame(BROADCAST, ALICE, 60 + i))), 400)
      for (let i = 0; i < 400; i++) assert.equal(standin.take()?.length, 60 + i)
    }))

  it('writes no runt and no frame that is too long, and none of those with it', () =>
    withInterface({}, started => {
      const long = frame(BROADCAST, ALICE, 1515)
      assert.throws(() => started.write([hello, long]), { code: 'TAPSWITCH_VMNET_PACKET_TOO_BIG' })
      assert.throws(() => started.write(new Uint8Array(13)), { code: 'TAPSWITCH_VMNET_INVALID_ARGUMENT' })
      assert.equal(standin.count('writes'), 0)
    }))

  it('says how many frames vmnet took', () =>
    withInterface({}, started => {
      standin.control('write-take 3 1')
      assert.equal(started.write([hello, hello, hello]), 2)
      standin.control('write-status 1007 1')
      assert.equal(started.write([hello]), 0)
      assert.equal(started.write([hello]), 1)
    }))

  it('reports what reading and writing failed with', () =>
    withInterface({}, started => {
      standin.control('read-status 1007 1')
      assert.deepEqual(started.read(), [])
      standin.control('read-status 1001 1; write-status 1003 1')
      assert.throws(() => started.read(), { code: 'TAPSWITCH_VMNET_FAILURE' })
      assert.throws(() => started.write(hello), { code: 'TAPSWITCH_VMNET_INVALID_ARGUMENT' })
    }))

  it('tells of frames, once for many, and again for the next', () =>
    withInterface({}, async started => {
      let told = 0
      started.notify(() => told++)
      standin.inject(hello, { times: 100 })
      await until(() => told > 0, 'told')
      const before = told
      assert.ok(before <= 100)
      assert.equal(started.read().length, 100)
      standin.inject(hello)
      await until(() => told > before, 'told again')
      started.notify(null)
    }))

  it('is told nothing any more after notify(null), or after it was stopped', async () => {
    let told = 0
    await withInterface({}, async started => {
      started.notify(() => told++)
      standin.inject(hello)
      await until(() => told === 1, 'told')
      started.notify(null)
      standin.inject(hello)
      await delay(20)
      assert.equal(told, 1)
      started.notify(() => told++)
    })
    await standin.nothingLeft()
  })

  it('stops once, however often it is asked, and does nothing after', async () => {
    const started = await VmnetInterface.start()
    const stopping = started.stop()
    assert.equal(started.stop(), stopping)
    await stopping
    assert.equal(started.running, false)
    assert.throws(() => started.read(), /has been stopped/)
    assert.throws(() => started.write(hello), /has been stopped/)
    await started.stop()
  })

  it('waits for a slow stop', async () => {
    standin.control('stop-delay 100000')
    const started = await VmnetInterface.start()
    const began = performance.now()
    await started.stop()
    assert.ok(performance.now() - began >= 99)
  })

  it('has stopped when no thread of vmnet runs our code any more', async () => {
    const held = () => [standin.live('interface'), standin.live('xpc'), standin.live('block')]
    const started = await VmnetInterface.start()
    standin.control('linger 30000')
    await started.stop()
    assert.deepEqual(held(), [0, 0, 0])
    standin.control('start-status 1001 1')
    await assert.rejects(VmnetInterface.start(shared().with({ api: 'classic' })))
    assert.deepEqual(held(), [0, 0, 0])
  })

  it('stops while events keep coming', async () => {
    standin.control('backend loop; event-delay 100')
    const started = await VmnetInterface.start()
    started.notify(() => {
      const frames = started.running ? started.read() : []
      if (started.running) started.write(frames)
    })
    started.write(Array.from({ length: 64 }, () => hello))
    await until(() => standin.count('events') > 10, 'events come')
    await started.stop()
  })

  it('starts and stops a thousand times without anything growing', async () => {
    standin.control('start-delay 0; stop-delay 0')
    const cycle = async () => {
      const started = await VmnetInterface.start()
      started.notify(() => {})
      standin.inject(hello)
      started.write(hello)
      await started.stop()
    }
    for (let i = 0; i < 10; i++) await cycle()
    const blocks = blocksMade()
    for (let i = 0; i < 990; i++) await cycle()
    await standin.nothingLeft()
    assert.equal(blocksMade(), blocks)
    assert.equal(blocksInUse(), 0)
  })

  it('has the port forwards it was told to, of both IP versions, and no others', () =>
    withInterface(shared(), async started => {
      assert.deepEqual(await started.forwards(), [])
      const ssh = { protocol: 'tcp', host: '0.0.0.0:2222', guest: '192.168.64.2:22' } as const
      const dns = { protocol: 'udp', host: '[::]:53', guest: '[fd12:3456:789a:bcde::2]:5353' } as const
      await started.addForward(ssh)
      await started.addForward(dns)
      assert.deepEqual(await started.forwards(), [ssh, dns])
      await started.removeForward(ssh)
      assert.deepEqual(await started.forwards(), [dns])
      await assert.rejects(started.removeForward(ssh), VmnetError)
      await assert.rejects(started.addForward({ ...ssh, host: '127.0.0.1:2222' }), /from every address of the Mac/)
      standin.control('rule-status 1001 1')
      await assert.rejects(started.addForward(ssh), { code: 'TAPSWITCH_VMNET_FAILURE' })
    }))
})

describe('an interface that does not start', needs, () => {
  let standin: Standin
  beforeEach(() => {
    standin = useStandin()
  })
  afterEach(async () => {
    await standin.nothingLeft()
    assert.equal(blocksInUse(), neverCalled)
  })

  /** Blocks that vmnet may still call, as far as we know. */
  let neverCalled = 0
  const classic = { api: 'classic' } as const

  it('because its options do not fit together, before vmnet is asked', async () => {
    const before = standin.created()
    await assert.rejects(VmnetInterface.start({ mode: 'bridged' }), (error: unknown) => {
      assert.ok(error instanceof ConfigError)
      assert.match(error.message, /^bridgeInterface: missing/)
      return true
    })
    await assert.rejects(VmnetInterface.start({ mode: 'nat' as 'shared' }), /mode: "nat" is not one of/)
    assert.equal(standin.created(), before)
  })

  for (const [status, name, advice] of [
    [1001, 'FAILURE', /root up to macOS 15/],
    [1002, 'MEM_FAILURE', /permission/],
    [1003, 'INVALID_ARGUMENT', /combination of options/],
    [1009, 'SHARING_SERVICE_BUSY', /Internet Sharing/],
    [1010, 'NOT_AUTHORIZED', /macos-sign-node/],
    [1234, 'UNKNOWN', /1234/],
  ] as const) {
    it(`because of ${name}, and says what helps`, async () => {
      standin.control(`start-status ${status} 1`)
      await assert.rejects(VmnetInterface.start(classic), (error: unknown) => {
        assert.ok(error instanceof VmnetError)
        assert.deepEqual([error.code, error.status], [`TAPSWITCH_VMNET_${name}`, status])
        assert.match(error.message, advice)
        return true
      })
    })
  }

  it('because vmnet gave no reference, and called the handler or did not', async () => {
    for (const how of [1, 2]) {
      standin.control(`start-null ${how} 1`)
      await assert.rejects(VmnetInterface.start(classic), { code: 'TAPSWITCH_VMNET_FAILURE' })
    }
    neverCalled++
  })

  it('because the subnet belongs to another mode', async () => {
    const range = { dhcpStart: '10.30.0.1', dhcpEnd: '10.30.0.99', subnetMask: '255.255.255.0' }
    const first = await VmnetInterface.start({ ...range, mode: 'shared' })
    await assert.rejects(VmnetInterface.start({ ...range, mode: 'host' }), VmnetError)
    await first.stop()
  })

  it('in time, and is stopped when it starts after all', async () => {
    standin.control('start-delay 200000')
    await assert.rejects(VmnetInterface.start(classic, { timeoutMs: 20 }), { code: 'TAPSWITCH_VMNET_TIMEOUT' })
    // Nothing else keeps the process's event loop going until the handler is called.
    await until(() => standin.live() === 0, 'it was stopped')
  })
})
