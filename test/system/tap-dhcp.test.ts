/** DHCP of a TAP, by a real dnsmasq: cloned VMs, a range that is used up, a host without name servers. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/eventually.js'
import { Lab } from '../support/lab.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import * as packets from '../support/packets.js'
import type { RawPeer } from '../support/raw-peer.js'
import { allOf, requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'

interface Finding {
  code: string
  message: string
  subject: { kind: string; name: string }
}

const findings = async (running: SwitchProcess) =>
  ((await (await fetch(`${running.url}/v1/findings`)).json()) as { findings: Finding[] }).findings

const needs = requirements(allOf(netnsNeeds, { commands: ['dnsmasq', 'unshare', 'mount'] }))

describe('DHCP of a TAP', { ...needs, timeout: 120_000 }, () => {
  let host: Netns
  let lab: Lab
  before(async () => {
    host = Netns.make()
    lab = await Lab.open()
    lab.onClose(async () => host.remove())
  })
  after(() => lab.close())

  const transports = [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }]
  const tap = { name: 'up', type: 'tap', device: 'up0', address: '10.9.0.1/24' }

  it('gives cloned VMs, which share a client identifier, an address each, and says when all are given out', async () => {
    const dhcp = { start: '10.9.0.100', end: '10.9.0.101', leaseSeconds: 600 }
    const config = { ...tap, netns: host.name, mode: 'host', dhcp }
    const running = await lab.startSwitch({ interfaces: [config], transports })
    const guests = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'].map(
      (mac, i) => new Guest(mac, lab.qemu(`vm${i}`, 'vms.sock')),
    )
    const [first, second, third] = guests as [Guest, Guest, Guest]
    const given = [await first.ask(), await second.ask()]
    assert.deepEqual(given.sort(), ['10.9.0.100', '10.9.0.101'])
    assert.deepEqual(await findings(running), [])

    third.discover()
    const [finding] = await eventually(
      () => findings(running),
      list => list.length > 0,
      'a finding',
    )
    assert.equal(finding?.code, 'dhcp-pool-full')
    assert.deepEqual(finding?.subject, { kind: 'interface', name: 'up' })
    assert.match(finding?.message ?? '', /^all addresses of up from 10\.9\.0\.100 to 10\.9\.0\.101 are given out/)
    for (let i = 0; i < 20; i++) third.discover()
    assert.equal(running.log.filter(({ msg }) => /are given out/.test(msg)).length, 1)
    await running.stop()
  })

  it('starts where /etc/resolv.conf is a link to nothing, and says that guests get no names', async () => {
    const etc = `cp -a /etc "$0/etc" && ln -sfn /no/such/resolv.conf "$0/etc/resolv.conf" && mount --bind "$0/etc" /etc`
    const through = ['unshare', '--mount', 'sh', '-c', `${etc} && exec "$@"`, lab.folder]
    const running = await lab.startSwitch(
      { interfaces: [{ ...tap, netns: host.name, mode: 'shared' }], transports },
      { through },
    )
    const [finding] = await findings(running)
    assert.equal(finding?.code, 'no-name-servers')
    assert.match(finding?.message ?? '', /dhcp\.dns/)
    assert.deepEqual(await running.stop(), { code: 0, signal: null })
  })
})

/** A DHCP client with the client identifier that all of them have. */
class Guest {
  readonly #mac: string
  readonly #port: RawPeer

  constructor(mac: string, port: RawPeer) {
    this.#mac = mac
    this.#port = port
  }

  discover(): Promise<void> {
    return this.#send(1)
  }

  /** DISCOVER, OFFER, REQUEST, ACK (RFC 2131); the address. */
  async ask(): Promise<string> {
    await this.discover()
    const offer = await this.#answer(2)
    await this.#send(3, [
      [50, offer.address],
      [54, offer.options.get(54) as Uint8Array],
    ])
    return packets.text4((await this.#answer(5)).address)
  }

  #send(type: number, options: [number, Uint8Array][] = []): Promise<void> {
    const clone: [number, Uint8Array] = [61, Uint8Array.from([1, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff])]
    const message = packets.udp(68, 67, packets.dhcp(type, this.#mac, [clone, ...options]))
    const [zero, all] = [packets.bytes4('0.0.0.0'), packets.bytes4('255.255.255.255')]
    const packet = packets.ip(zero, all, packets.protocol.udp, message)
    return this.#port.send(packets.ethernet(packets.everyone, this.#mac, packets.etherType.ipv4, packet))
  }

  async #answer(wanted: number) {
    for (;;) {
      const packet = packets.packetOf(await this.#port.receive(10_000))
      if (packet?.protocol !== packets.protocol.udp || packet.payload[3] !== 68) continue
      const message = packet.payload.subarray(8)
      const options = packets.dhcpOptions(message)
      const isMine = Buffer.from(message.subarray(28, 34)).toString('hex') === this.#mac.replaceAll(':', '')
      if (isMine && options.get(53)?.[0] === wanted) return { address: message.subarray(16, 20), options }
    }
  }
}
