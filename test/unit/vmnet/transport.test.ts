import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { VmnetConfig } from '#src/config/interfaces/vmnet.js'
import { createOs } from '#src/os/os.js'
import type { TransportContext, TransportEvent } from '#src/transports/transport.js'
import { UpgradeRoutes } from '#src/upgrade-routes.js'
import { openVmnet } from '#src/vmnet/transport.js'
import { RecordedFindings } from '../../support/recorded-findings.js'
import { recordingLogger } from '../../support/recording-logger.js'
import { requirements } from '../../support/requires.js'
import { type Standin, standinNeeds } from '../../support/vmnet-standin.js'
import { load } from '../config/load-text.js'
import { useStandin } from './use-standin.js'

const config = (options = ''): VmnetConfig =>
  load(`interfaces: [{ name: up, type: vmnet${options === '' ? '' : `, ${options}`} }]`).interfaces[0] as VmnetConfig

const ssh = { protocol: 'tcp', host: '0.0.0.0:2222', guest: '192.168.64.2:22' } as const
const web = { protocol: 'tcp', host: '0.0.0.0:8080', guest: '192.168.64.2:80' } as const
const forwards = (...list: readonly object[]) => `forwards: ${JSON.stringify(list)}`

describe("the vmnet interface's half on the main thread", requirements(standinNeeds), () => {
  let standin: Standin
  let events: TransportEvent[]
  let context: TransportContext
  beforeEach(() => {
    standin = useStandin()
    events = []
    context = {
      os: createOs(),
      log: recordingLogger(),
      runtimeDir: tmpdir(),
      account: null,
      upgrades: new UpgradeRoutes(),
      switchName: () => 'test',
      send: () => {},
      findings: new RecordedFindings(),
      descriptors: { take: () => true, give: () => {} },
      report: event => void events.push(event),
      contain: callback => {
        callback()
        return true
      },
    }
  })
  afterEach(() => standin.nothingLeft())

  it('shows what vmnet said, in the log and to whoever asks', async () => {
    const transport = await openVmnet(config('api: classic'), context)
    const facts = transport.facts?.() ?? {}
    assert.deepEqual(
      Object.fromEntries(
        ['status', 'mode', 'mtu', 'maxPacketSize', 'readMaxPackets', 'startAddress', 'subnetMask', 'api'].map(name => [
          name,
          facts[name],
        ]),
      ),
      {
        ...{ status: 'SUCCESS', mode: 'shared', mtu: 1500, maxPacketSize: 1514, readMaxPackets: 256 },
        ...{ startAddress: '192.168.64.1', subnetMask: '255.255.255.0', api: 'classic' },
      },
    )
    assert.equal(transport.where, 'vmnet shared')
    assert.deepEqual(
      events.map(({ event }) => event),
      ['vmnet-started'],
    )
    assert.deepEqual(events[0]?.details, facts)
    await transport.close()
    assert.equal(transport.facts?.().status, 'STOPPED')
  })

  it('hands the data plane a reference, both ends of the waker and the limits', async () => {
    const transport = await openVmnet(
      config('mode: bridged, bridgeInterface: en0, port: { fdb: { static: ["02:00:00:00:00:01"] } }'),
      context,
    )
    const options = transport.spec(3)?.options as Record<string, unknown>
    assert.ok((options.reference as number) > 0)
    assert.deepEqual([options.maxPacketSize, options.peer, options.staticAddresses], [1514, 'en0', [0x020000000001]])
    assert.equal(transport.where, 'vmnet bridged to en0')
    structuredClone(options)
    await transport.close()
  })

  it('opens with the forwards of the file, and follows them when the file changes', async () => {
    const transport = await openVmnet(config(forwards(ssh)), context)
    assert.deepEqual(transport.forwards?.(), [ssh])
    const next = config(forwards(web, { ...ssh, guest: '192.168.64.3:22' }))
    assert.equal(transport.canBecome(next), true)
    transport.update(next)
    await transport.addForward?.({ protocol: 'udp', host: '[::]:53', guest: '[fd00::2]:53' })
    while ((transport.forwards?.().length ?? 0) < 3) await new Promise(resolve => setImmediate(resolve))
    assert.deepEqual(
      transport
        .forwards?.()
        .map(({ guest }) => guest)
        .sort(),
      ['192.168.64.2:80', '192.168.64.3:22', '[fd00::2]:53'],
    )
    assert.equal(await transport.removeForward?.(web), true)
    assert.equal(await transport.removeForward?.(web), false)
    await assert.rejects(transport.addForward?.({ ...ssh }) as Promise<void>, /forwarded already/)
    assert.equal(transport.canBecome(config('mtu: 1400')), false)
    await transport.close()
  })

  it('has no forwards in host mode', async () => {
    const transport = await openVmnet(config('mode: host'), context)
    await assert.rejects(transport.addForward?.(ssh) as Promise<void>, /host mode has no port forwards/)
    await transport.close()
  })

  it('leaves nothing when a forward is refused at the start', async () => {
    standin.control('rule-status 1001 1')
    await assert.rejects(openVmnet(config(forwards(ssh)), context), { code: 'TAPSWITCH_VMNET_FAILURE' })
  })

  it('leaves nothing when events are refused', async () => {
    standin.control('event-return 1001 1')
    await assert.rejects(openVmnet(config(), context), { code: 'TAPSWITCH_VMNET_FAILURE' })
  })

  it('closes once, waits for vmnet, and says when vmnet did not stop', async () => {
    const transport = await openVmnet(config(), context)
    const closing = transport.close()
    assert.equal(transport.close(), closing)
    await closing
    const other = await openVmnet(config(), context)
    standin.control('stop-status 1001 1')
    await assert.rejects(other.close() as Promise<void>, { code: 'TAPSWITCH_VMNET_FAILURE' })
  })

  it('warns of frames that the switch will not take', async () => {
    const transport = await openVmnet({ ...config(), port: { ...config().port, maxFrameSize: 1000 } }, context)
    assert.deepEqual(
      events.filter(({ level }) => level === 'warn').map(({ event }) => event),
      ['mtu-mismatch'],
    )
    await transport.close()
  })

  it('reports a call that keeps failing once, with the name of the status', async () => {
    const transport = await openVmnet(config(), context)
    for (let i = 0; i < 5; i++) transport.message({ type: 'failed', call: 'write', status: 1001 })
    const failed = events.filter(({ event }) => event === 'vmnet-failed')
    assert.deepEqual(
      failed.map(({ details }) => details),
      [{ call: 'write', status: 1001, code: 'FAILURE' }],
    )
    await transport.close()
  })
})
