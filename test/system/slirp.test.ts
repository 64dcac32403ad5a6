/**
 * Two VMs behind slirp, on a host that is a namespace of the test's: its loopback, its name server, and a world
 * outside.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { askForAddress, type Lease } from '../support/dhcp-client.js'
import { type HostNamespace, hostNamespaceNeeds, makeHost } from '../support/host-namespace.js'
import { Lab } from '../support/lab.js'
import { projectRoot } from '../support/project-root.js'
import { allOf, requirements } from '../support/requires.js'
import { slirpNeeds } from '../support/slirp-guest.js'
import { until } from '../support/until.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'

const skip = slirpNeeds().skip || requirements(allOf(hostNamespaceNeeds, vmNeeds, { commands: ['socat', 'ss'] })).skip
const fileBytes = 8_000_000

describe('two VMs behind slirp', { skip, timeout: 240_000 }, () => {
  let host: HostNamespace
  let lab: Lab
  let vms: Vm[]
  let leases: Lease[]

  before(async () => {
    lab = await Lab.open()
    host = await makeHost(fileBytes)
    lab.onClose(async () => host.close())
    const forwards = [{ protocol: 'tcp', host: '127.0.0.1:2222', guest: '10.0.2.15:7000' }]
    await lab.startSwitch(
      {
        interfaces: [{ name: 'nat', type: 'slirp', hostLoopback: true, forwards }],
        transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
      },
      { through: host.through },
    )
    vms = await startVms(lab)
    leases = [await askForAddress(vms[0] as Vm), await askForAddress(vms[1] as Vm)]
  })

  after(() => lab.close())

  it('get different addresses, a gateway and a name server', () => {
    assert.deepEqual(leases, [
      { address: '10.0.2.15', router: '10.0.2.2', dns: '10.0.2.3', leaseSeconds: 86_400 },
      { address: '10.0.2.16', router: '10.0.2.2', dns: '10.0.2.3', leaseSeconds: 86_400 },
    ])
  })

  it("are answered by the host's name server", async () => {
    for (const vm of vms) {
      assert.match(await vm.sh('nslookup -type=a web.test 10.0.2.3'), /Name:\s+web\.test\s+Address:\s+192\.0\.2\.2\b/)
    }
  })

  it('ping the gateway with packets that come in fragments', async () => {
    for (const bytes of [3000, 60_000]) {
      assert.match(await (vms[0] as Vm).sh(`ping -c 2 -i 0.2 -w 10 -s ${bytes} 10.0.2.2`), / 0% packet loss/)
    }
  })

  it("download from the host's loopback, and from outside, what has the checksum of the file", async () => {
    const download = (vm: Vm, url: string) => vm.sh(`wget -q -O - ${url} | sha256sum`, { timeoutMs: 60_000 })
    for (const vm of vms) {
      assert.equal((await download(vm, 'http://10.0.2.2:8080/file')).slice(0, 64), host.local.sha256)
      assert.equal((await download(vm, host.outside.url)).slice(0, 64), host.outside.sha256)
    }
  })

  it('upload what arrives whole', async () => {
    const receiver = host.netns.spawn('sh', '-c', 'socat -u TCP-LISTEN:9000,bind=127.0.0.1 STDOUT | sha256sum')
    let received = ''
    receiver.stdout?.on('data', text => {
      received += text
    })
    await until(() => host.netns.run('ss', '-ltnH', 'sport', '=', '9000') !== '', 'somebody listens')
    const make = 'dd if=/dev/urandom of=/tmp/up bs=1000 count=3000 2>/dev/null'
    const sent = await vms[0]?.sh(`${make}; nc 10.0.2.2 9000 < /tmp/up; sha256sum < /tmp/up`, { timeoutMs: 60_000 })
    await until(() => received.length >= 64, 'the checksum')
    assert.equal(received.slice(0, 64), sent?.slice(0, 64))
  })

  it('are reached by a port forward', async () => {
    await vms[0]?.sh('mkdir -p /tmp/www && echo inside > /tmp/www/page && httpd -p 7000 -h /tmp/www')
    const answer = host.netns.run('busybox', 'wget', '-q', '-O', '-', 'http://127.0.0.1:2222/page')
    assert.equal(answer, 'inside\n')
  })

  it('reach each other, without slirp in between', async () => {
    const [first, second] = vms as [Vm, Vm]
    assert.match(await second.sh(`ping -c 3 -i 0.1 -w 10 ${leases[0]?.address}`), / 0% packet loss/)
    assert.match(await first.sh(`ping -c 3 -i 0.1 -w 10 ${leases[1]?.address}`), / 0% packet loss/)
    assert.equal(await second.sh(`wget -q -O - http://${leases[0]?.address}:7000/page`), 'inside\n')
  })
})

describe('type: auto', { skip, timeout: 240_000 }, () => {
  let host: HostNamespace
  let lab: Lab

  before(async () => {
    lab = await Lab.open()
    host = await makeHost(1_000_000)
    lab.onClose(async () => host.close())
  })

  after(() => lab.close())

  /** What the README's first command runs. */
  const config = parse(readFileSync(join(projectRoot, 'config/default.yaml'), 'utf8'))

  it("gives two VMs each other and the outside, and not the host's loopback nor the control API", async () => {
    const running = await lab.startSwitch(config, { through: host.through })
    const chosen = await running.logged(({ event }) => event === 'uplink-chosen')
    assert.equal(chosen.chosen, 'slirp')
    const vms = await startVms(lab)
    const addresses = []
    for (const vm of vms) addresses.push((await askForAddress(vm)).address)
    for (const vm of vms) {
      assert.equal((await vm.sh(`wget -q -O - ${host.outside.url} | sha256sum`)).slice(0, 64), host.outside.sha256)
      for (const way of ['10.0.2.2:8080/file', '10.0.2.2:9676/healthz', '10.0.2.3:9676/healthz']) {
        assert.notEqual((await vm.run(`timeout 3 wget -q -O /dev/null http://${way}`)).status, 0, way)
      }
    }
    assert.match(await (vms[1] as Vm).sh(`ping -c 2 -i 0.1 -w 10 ${addresses[0]}`), / 0% packet loss/)
    const api = host.netns.run('busybox', 'wget', '-q', '-O', '-', 'http://127.0.0.1:9676/readyz')
    assert.notEqual(api, '', 'which the host itself reaches')
    await Promise.all(vms.map(vm => vm.stop()))
    await running.stop()
  })

  it('does without an uplink where there is no libslirp, and says how to get it', async () => {
    const running = await lab.startSwitch(
      { ...config, http: { listen: '127.0.0.1:0' } },
      { env: { TAPSWITCH_LIBSLIRP: '/nowhere/libslirp.so.0' } },
    )
    const warning = await running.logged(({ event }) => event === 'no-uplink')
    assert.match(warning.msg, /reach each other and nothing else.*apt install libslirp0.*brew install libslirp/)
    assert.equal((await fetch(`${running.url}/readyz`)).status, 200)
  })
})

function startVms(lab: Lab): Promise<Vm[]> {
  const vm = (n: number) => ({
    name: `guest${n}`,
    mac: `52:54:00:00:00:0${n}`,
    netdevArgs: dgramNetdev({ local: lab.path(`vm${n}.qemu`), remote: lab.path('vms.sock') }),
  })
  return Vm.startAll([vm(1), vm(2)]).then(vms => {
    lab.onClose(async () => void (await Promise.all(vms.map(each => each.stop()))))
    return vms
  })
}
