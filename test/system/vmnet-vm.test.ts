/**
 * VMs that reach a DHCP server, a name server and a web server through vmnet's code: the switch runs with an interface
 * of type vmnet, the stand-in is behind it, and behind that a TAP in a namespace, in the place of the Mac.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import { allOf, requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { until } from '../support/until.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'
import { standinEnvironment, standinNeeds, standinReport } from '../support/vmnet-standin.js'
import { startWebServer, type WebServer } from '../support/web-server.js'

const needs = requirements(allOf(netnsNeeds, vmNeeds, standinNeeds, { commands: ['dnsmasq'] }))
const gateway = '192.168.64.1'
const config = {
  interfaces: [
    {
      name: 'uplink',
      type: 'vmnet',
      mode: 'shared',
      dhcpStart: gateway,
      dhcpEnd: '192.168.64.254',
      subnetMask: '255.255.255.0',
    },
  ],
  transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
}

/** What udhcpc runs when it has an address. */
const lease = `#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev eth0
ip route add default via "$router"
mkdir -p /etc
echo "nameserver $dns" > /etc/resolv.conf
`

describe('VMs behind vmnet', { ...needs, timeout: 240_000 }, () => {
  let lab: Lab
  let mac: Netns
  let web: WebServer
  let running: SwitchProcess
  let vms: Vm[] = []
  const addresses: string[] = []

  before(async () => {
    lab = await Lab.open()
    mac = Netns.make()
    lab.onClose(async () => mac.remove())
    mac.ip('tuntap', 'add', 'vmnet0', 'mode', 'tap')
    mac.ip('address', 'add', `${gateway}/24`, 'dev', 'vmnet0')
    mac.ip('link', 'set', 'vmnet0', 'up')
    const dnsmasq = mac.spawn(
      ...([
        'dnsmasq',
        '--keep-in-foreground',
        '--conf-file=/dev/null',
        '--no-resolv',
        '--no-hosts',
        '--user=root',
      ] as const),
      ...['--interface=vmnet0', '--bind-interfaces', '--pid-file=', `--dhcp-leasefile=${lab.path('leases')}`],
      ...[
        '--dhcp-range=192.168.64.2,192.168.64.254,255.255.255.0,1h',
        `--address=/web.test/${gateway}`,
        '--local=/web.test/',
        '--no-ping',
      ],
    )
    lab.onClose(async () => void dnsmasq.kill('SIGKILL'))
    web = await startWebServer(mac, gateway, 8080, 5_000_000)
    lab.onClose(async () => web.stop())
    running = await lab.startSwitch(config, {
      env: standinEnvironment(`backend tap; tap vmnet0; netns ${mac.name}; report ${lab.path('report')}`),
    })
    vms = await Vm.startAll(
      [0, 1].map(i => ({
        name: `vm${i}`,
        mac: `52:54:00:00:00:0${i}`,
        netdevArgs: dgramNetdev({ local: lab.path(`vm${i}.sock`), remote: lab.path('vms.sock') }),
      })),
    )
    lab.onClose(() => Promise.all(vms.map(vm => vm.stop())))
  })

  after(() => lab.close())

  it('get an address each from the DHCP server', async () => {
    for (const vm of vms) {
      await vm.sh(`cat > lease <<'END'\n${lease}END\nchmod +x lease`)
      await vm.sh('udhcpc -f -n -q -i eth0 -s /tmp/lease -t 10 -T 1', { timeoutMs: 40_000 })
      const address = /inet (192\.168\.64\.\d+)\/24/.exec(await vm.sh('ip -4 address show dev eth0'))?.[1]
      assert.ok(address)
      addresses.push(address)
    }
    assert.equal(new Set(addresses).size, 2)
    const leases = await readFile(lab.path('leases'), 'utf8')
    for (const [i, address] of addresses.entries()) assert.ok(leases.includes(`52:54:00:00:00:0${i} ${address}`))
  })

  it('ask the name server', async () => {
    for (const vm of vms) assert.match(await vm.sh('nslookup web.test'), /Address.*: 192\.168\.64\.1/)
  })

  it('download from the web server; the checksum is that of the file', async () => {
    const download = `wget -q -O - ${web.url.replace(gateway, 'web.test')} | sha256sum`
    const sums = await Promise.all(vms.map(vm => vm.sh(download, { timeoutMs: 60_000 })))
    for (const sum of sums) assert.equal(sum.slice(0, 64), web.sha256)
  })

  it('are reached from outside, and reach each other', async () => {
    for (const address of addresses)
      assert.match(mac.run('ping', '-c', '5', '-i', '0.1', '-w', '20', address), / 0% packet loss/)
    assert.match(await vms[0]!.sh(`ping -c 5 -i 0.1 -w 20 ${addresses[1]}`), / 0% packet loss/)
  })

  it('are on the other side of the port that vmnet has', async () => {
    const ports = await running.api.ports()
    const uplink = ports.find(({ name }) => name === 'uplink')
    assert.ok(uplink?.up)
    assert.ok(uplink.counters.receiveBytes > 2 * 5_000_000)
    assert.equal(
      Object.values(uplink.counters.transmitDrops).reduce((sum, count) => sum + count, 0),
      0,
    )
    const tapMac = mac.run('cat', '/sys/class/net/vmnet0/address').trim()
    assert.equal((await running.api.fdb()).find(entry => entry.mac === tapMac)?.port, 'uplink')
  })

  it('leave the switch, which stops its interface and keeps nothing of it', async () => {
    assert.deepEqual(await running.stop(), { code: 0, signal: null })
    const { started, stopped, live } = standinReport(lab.path('report'))
    assert.deepEqual({ started, stopped, live }, { started: 1, stopped: 1, live: 0 })
    // A TAP that nobody has open has no carrier.
    await until(() => mac.ip('link', 'show', 'vmnet0').includes('NO-CARRIER'), 'the TAP was closed')
  })
})
