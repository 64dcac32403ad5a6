/** What the slirp process has, and what it no longer may do: read from the kernel, while it runs. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { landlockVersion } from '#src/os/sandbox/landlock.js'
import { seccompIsKnownHere } from '#src/os/sandbox/seccomp.js'
import { COMMANDS, LINKS } from '#src/slirp/messages.js'
import { requirements } from '../../support/requires.js'
import { type SlirpGuest, SlirpNetwork, slirpNeeds } from '../../support/slirp-guest.js'

const skip = slirpNeeds().skip || requirements({ platform: 'linux', root: true }).skip

describe('the slirp process of a switch that runs as root', { skip, timeout: 60_000 }, () => {
  let network: SlirpNetwork
  let guest: SlirpGuest
  let status: Map<string, string>

  before(async () => {
    process.env.TAPSWITCH_TEST_TOKEN = 'secret'
    network = await SlirpNetwork.start({ maxConnections: 100 })
    guest = network.guest('52:54:00:00:00:01')
    await guest.dhcp()
    const lines = readFileSync(`/proc/${network.process.pid}/status`, 'utf8').split('\n')
    status = new Map(lines.map(line => line.split(':\t') as [string, string]))
  })

  after(async () => {
    delete process.env.TAPSWITCH_TEST_TOKEN
    await network?.close()
  })

  const file = (name: string) => `/proc/${network.process.pid}/${name}`

  it('is another user, in no group of root', () => {
    assert.match(status.get('Uid') as string, /^65534\t65534\t65534\t65534$/)
    assert.match(status.get('Gid') as string, /^65534\t65534\t65534\t65534$/)
    assert.equal(status.get('Groups')?.trim(), '')
  })

  it('has no capability in any set, and cannot gain one', () => {
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      assert.match(status.get(set) as string, /^0+$/, set)
    assert.equal(status.get('NoNewPrivs'), '1')
  })

  it('has no capability in any other of its threads', () => {
    for (const thread of readdirSync(file('task'))) {
      const text = readFileSync(file(`task/${thread}/status`), 'utf8')
      assert.match(text, /^CapPrm:\t0+$/m, thread)
      assert.match(text, /^CapEff:\t0+$/m, thread)
      assert.match(text, /^Uid:\t65534\t/m, thread)
    }
  })

  it('says what it took on', () => {
    const expected = [
      ...(landlockVersion() > 0 ? ['landlock'] : []),
      'no-new-privs',
      ...(seccompIsKnownHere() ? ['seccomp'] : []),
      'user 65534',
    ]
    assert.equal(network.process.started?.sandbox, expected.join(', '))
    if (seccompIsKnownHere()) assert.equal(status.get('Seccomp'), '2')
  })

  it('has an environment without anything of the switch', () => {
    const names = readFileSync(file('environ'), 'utf8').split('\0').filter(Boolean)
    assert.deepEqual(
      names
        .map(each => each.split('=')[0])
        .filter(name => !/^(TAPSWITCH_LIBSLIRP|LD_LIBRARY_PATH)$/.test(name as string)),
      [],
    )
  })

  it('has its standard streams, the two sockets to the switch, its link, and what Node.js opens for itself', () => {
    const open = new Map(readdirSync(file('fd')).map(fd => [Number(fd), readlinkSync(file(`fd/${fd}`))]))
    assert.equal(open.get(0), '/dev/null')
    assert.equal(open.get(1), '/dev/null')
    assert.match(open.get(2) as string, /^(pipe|socket):/)
    for (const fd of [COMMANDS, LINKS]) assert.match(open.get(fd) as string, /^socket:/)
    const others = [...open].filter(([fd]) => fd > LINKS).map(([, what]) => what)
    const isOwn = (what: string) =>
      /^(anon_inode:\[(eventpoll|eventfd|io_uring)\]|pipe:\[\d+\]|\/dev\/null)$/.test(what)
    // The link, and the socket that libslirp keeps for its own use.
    const sockets = others.filter(what => what.startsWith('socket:'))
    assert.ok(sockets.length >= 1 && sockets.length <= 2, others.join(' '))
    assert.deepEqual(
      others.filter(what => !isOwn(what) && !what.startsWith('socket:')),
      [],
    )
  })

  it('may open as many descriptors as its connections need, and leaves no core', () => {
    const limits = readFileSync(file('limits'), 'utf8')
    assert.match(limits, /^Max open files\s+456\s+456\s/m)
    assert.match(limits, /^Max core file size\s+0\s+0\s/m)
    assert.equal(network.process.started?.descriptors, 456)
  })

  it('works like that', () => guest.ping('10.0.2.2', 1))
})
