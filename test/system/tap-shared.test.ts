/**
 * A TAP in mode shared. The switch runs where the test runs, and is told the namespace that its TAP belongs to; from
 * there a cable leads to a second namespace, the world, which knows no way back to the guests.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { recordsFolder } from '#src/tap/records.js'
import { descendants, isGone } from '../support/descendants.js'
import { Lab } from '../support/lab.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import { allOf, requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { until } from '../support/until.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'
import { startWebServer, type WebServer } from '../support/web-server.js'

const needs = requirements(allOf(netnsNeeds, vmNeeds, { commands: ['dnsmasq', 'tcpdump'] }))

/** What busybox's DHCP client does with what it gets. */
const dhcpScript = `#!/bin/sh
case "$1" in
  deconfig) ip address flush dev "$interface";;
  bound|renew)
    ip address replace "$ip/$mask" dev "$interface"
    [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
    [ -n "$router" ] && ip route replace default via "$router"
    echo "nameserver $dns" > /tmp/resolv.conf
    echo "$ip $router $dns $lease" > /tmp/lease;;
esac
`
const worldsNames = [
  ...['--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--user=root', '--no-resolv', '--no-hosts'],
  ...['--listen-address=192.0.2.2', '--bind-interfaces', '--address=/web.test/192.0.2.2'],
]
const askForAddress = 'udhcpc -q -n -i eth0 -t 10 -T 1 -O mtu -s /tmp/dhcp.sh && cat /tmp/lease'

describe('a TAP in mode shared', { ...needs, timeout: 240_000 }, () => {
  let router: Netns
  let world: Netns
  let lab: Lab
  let running: SwitchProcess
  let vm: Vm
  let web: WebServer
  let untouched: string[]
  let config: object

  before(async () => {
    router = Netns.make()
    world = Netns.make()
    lab = await Lab.open()
    lab.onClose(async () => {
      router.remove()
      world.remove()
    })
    router.cable('out', world, 'in')
    router.ip('address', 'add', '192.0.2.1/24', 'dev', 'out')
    world.ip('address', 'add', '192.0.2.2/24', 'dev', 'in')
    web = await startWebServer(world, '192.0.2.2', 80, 3_000_000)
    lab.onClose(async () => web.stop())
    untouched = router.state()
    config = {
      interfaces: [
        {
          ...{ name: 'nat', type: 'tap', mode: 'shared', device: 'nat0', netns: router.name, mtu: 1400 },
          ...{
            address: '10.9.0.1/24',
            dhcp: { start: '10.9.0.100', end: '10.9.0.120', leaseSeconds: 600, dns: ['192.0.2.2'] },
          },
        },
      ],
      transports: [{ name: 'vm', type: 'unixgram', listen: 'vm.sock', peers: 'one' }],
    }
    running = await lab.startSwitch(config)
    const netdevArgs = dgramNetdev({ local: lab.path('vm.qemu'), remote: lab.path('vm.sock') })
    vm = await Vm.start({ name: 'guest', mac: '52:54:00:00:00:01', netdevArgs })
    lab.onClose(() => vm.stop())
    await vm.sh(`cat > /tmp/dhcp.sh <<'END'\n${dhcpScript}END\nchmod +x /tmp/dhcp.sh`)
  })

  after(() => lab.close())

  it('gives the VM an address of the range, a router, a DNS server and the MTU', async () => {
    const lease = (await vm.sh(askForAddress)).trim().split('\n').at(-1)
    assert.match(lease ?? '', /^10\.9\.0\.1([01]\d|20) 10\.9\.0\.1 10\.9\.0\.1 600$/)
    assert.equal((await vm.sh('cat /sys/class/net/eth0/mtu')).trim(), '1400')
  })

  it('runs dnsmasq as somebody who may do little', () => {
    const [pid] = descendants(running.pid, 'dnsmasq')
    assert.ok(pid !== undefined, 'no dnsmasq')
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    assert.doesNotMatch(status, /^Uid:\s+0\s/m)
    // CAP_NET_BIND_SERVICE 10, CAP_NET_ADMIN 12, CAP_NET_RAW 13.
    assert.match(status, /^CapBnd:\s+0000000000003400$/m)
    assert.match(status, /^NoNewPrivs:\s+1$/m)
  })

  it('answers DNS, by the servers it is told to ask', async () => {
    const server = world.spawn('dnsmasq', ...worldsNames)
    lab.onClose(async () => void server.kill('SIGKILL'))
    const answer = await vm.sh('for i in $(seq 50); do nslookup -type=a web.test 10.9.0.1 && break; sleep 0.2; done')
    assert.match(answer, /Name:\s+web\.test\s+Address:\s+192\.0\.2\.2\b/)
  })

  it('takes the VM to the world and back: a download has the checksum of the file', async () => {
    assert.match(await vm.sh('ping -c 3 -i 0.1 -w 10 192.0.2.2'), / 0% packet loss/)
    assert.equal((await vm.sh(`wget -q -O - ${web.url} | sha256sum`)).slice(0, 64), web.sha256)
  })

  it('shows the world nothing but the address of the host, and lets it in on nothing', async () => {
    world.ip('route', 'add', '10.9.0.0/24', 'via', '192.0.2.1')
    const address = (await vm.sh('cat /tmp/lease')).split(' ')[0] as string
    const listening = vm.run('timeout 20 nc -l -p 7000 < /dev/null')
    assert.ok(!world.succeeds('ping', '-c', '2', '-i', '0.2', '-W', '1', address))
    assert.ok(!world.succeeds('busybox', 'nc', '-w', '2', address, '7000'))
    // The host itself does get there.
    assert.ok(router.succeeds('ping', '-c', '2', '-i', '0.2', '-W', '2', address))
    await until(() => router.succeeds('busybox', 'nc', '-w', '2', address, '7000'), 'the host reaches the VM')
    await listening
    world.ip('route', 'delete', '10.9.0.0/24')
  })

  it('forwards nothing with a forged source', async () => {
    world.ip('route', 'add', '172.30.0.0/24', 'via', '192.0.2.1')
    const capture = world.spawn('tcpdump', '-n', '-l', '-i', 'in', 'icmp')
    let seen = ''
    capture.stdout?.on('data', bytes => {
      seen += bytes
    })
    await until(
      () => world.succeeds('ping', '-c', '1', '-W', '1', '192.0.2.1') && /192\.0\.2\.1/.test(seen),
      'a capture',
    )
    await vm.sh('ip address add 172.30.0.9/32 dev eth0')
    await vm.run('ping -c 2 -W 1 -I 172.30.0.9 192.0.2.2')
    await vm.sh('ip address del 172.30.0.9/32 dev eth0; ping -c 1 -W 5 192.0.2.2')
    const told = () => seen.split('\n').filter(line => line.includes('192.0.2.1 > 192.0.2.2: ICMP echo request'))
    await until(() => told().length > 0, 'the honest ping is seen')
    capture.kill('SIGKILL')
    assert.doesNotMatch(seen, /172\.30\.0\.9/)
    // One, from the honest ping: the forged ones were not sent on under the host's address either.
    assert.equal(told().length, 1)
    world.ip('route', 'delete', '172.30.0.0/24')
  })

  it('starts dnsmasq again when it ends, and the VM keeps its address', async () => {
    const before = await vm.sh('cat /tmp/lease')
    const [pid] = descendants(running.pid, 'dnsmasq')
    process.kill(pid as number, 'SIGKILL')
    await running.logged(({ event }) => event === 'dhcp-server-ended')
    await running.logged(({ event }) => event === 'dhcp-server-restarted', 20_000)
    assert.equal((await vm.sh(askForAddress)).trim().split('\n').at(-1), before.trim())
  })

  it('leaves everything as it was', async () => {
    const [pid] = descendants(running.pid, 'dnsmasq')
    await running.stop()
    await router.assertStill(untouched)
    assert.ok(isGone(pid as number), 'dnsmasq is gone')
    assert.ok(!existsSync(recordsFolder(lab.folder).path), 'no record and no lease is left')
  })

  it('leaves nothing but a note when it is killed, by which the next start puts everything in order', async () => {
    running = await lab.startSwitch(config)
    const [pid] = descendants(running.pid, 'dnsmasq')
    await running.kill9()
    await until(() => isGone(pid as number), 'dnsmasq ended with the switch')
    assert.notDeepEqual(router.changes(untouched), [])
    // Another interface in another namespace: what is taken back is not what is about to be made.
    const [first] = (config as { interfaces: object[] }).interfaces
    const other = {
      ...first,
      name: 'other',
      device: 'other0',
      netns: world.name,
      mode: 'shared',
      address: '10.8.0.1/24',
    }
    running = await lab.startSwitch({ ...config, interfaces: [{ ...other, dhcp: false }] })
    await router.assertStill(untouched)
    await running.stop()
  })
})
