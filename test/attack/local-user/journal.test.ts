/**
 * The user that a switch gave root up for, and what this user leaves for the next start as root: records that name
 * files, and links where root writes. `mallory` has all rights of that user, and knows the program.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { namespaceIdentity } from '#src/tap/namespace.js'
import { recordsFolder } from '#src/tap/records.js'
import { descendants, isGone } from '../../support/descendants.js'
import { Lab } from '../../support/lab.js'
import { Netns, netnsNeeds } from '../../support/netns.js'
import { allOf, requirements } from '../../support/requires.js'
import { until } from '../../support/until.js'

const MALLORY = 65_534
const needs = requirements(allOf(netnsNeeds, { commands: ['dnsmasq', 'setpriv', 'ln'] }))

describe('the user that root was given up for', { ...needs, timeout: 120_000 }, () => {
  let lab: Lab
  let host: Netns
  let secrets: string
  let untouched: string[]
  let config: { interfaces: object[] }
  const asMallory = (...command: string[]) =>
    execFileSync('setpriv', ['--reuid', `${MALLORY}`, '--regid', `${MALLORY}`, '--clear-groups', ...command])

  before(async () => {
    host = Netns.make()
    lab = await Lab.open()
    secrets = mkdtempSync('/tmp/tsw-root-')
    lab.onClose(async () => {
      host.remove()
      rmSync(secrets, { recursive: true })
    })
    chmodSync(secrets, 0o755)
    // A TAP that was there before, so that what root changes on it stays when the switch ends.
    host.ip('tuntap', 'add', 'dev', 'nat0', 'mode', 'tap')
    host.ip('link', 'set', 'nat0', 'up')
    host.ip('link', 'set', 'nat0', 'down')
    untouched = host.state()
    const tap = { name: 'nat', type: 'tap', mode: 'host', device: 'nat0', netns: host.name, address: '10.9.0.1/24' }
    config = { interfaces: [{ ...tap, dhcp: { start: '10.9.0.100', end: '10.9.0.120' } }] }
  })
  after(() => lab.close())

  const start = (process: object = { process: { user: MALLORY } }) => lab.startSwitch({ ...process, ...config })

  async function dnsmasqOf(pid: number): Promise<number> {
    const found = descendants(pid, 'dnsmasq')
    assert.equal(found.length, 1)
    return found[0] as number
  }

  it('has no DHCP server left behind when the switch is stopped, which ends well', async () => {
    const running = await start()
    const pid = await dnsmasqOf(running.pid)
    assert.notEqual(statSync(`/proc/${pid}`).uid, MALLORY)
    assert.deepEqual(await running.stop(), { code: 0, signal: null })
    assert.ok(isGone(pid))
    // Root's rights are gone, and with them the way to take the address back; the next start as root does it.
    assert.notDeepEqual(host.changes(untouched), [])
  })

  it('nor when the switch is killed', async () => {
    const running = await start()
    const pid = await dnsmasqOf(running.pid)
    await running.kill9()
    await until(() => isGone(pid), 'dnsmasq ended with the switch')
  })

  it('sees a DHCP server that dies started again, though the switch could not', async () => {
    const running = await start()
    process.kill(await dnsmasqOf(running.pid), 'SIGKILL')
    await running.logged(({ event }) => event === 'dhcp-server-ended')
    await running.logged(({ event }) => event === 'dhcp-server-restarted', 20_000)
    const pid = await dnsmasqOf(running.pid)
    await running.stop()
    assert.ok(isGone(pid))
  })

  it('gets no file written or given away by what it leaves in the runtime directory', async () => {
    assert.equal(statSync(lab.folder).uid, MALLORY)
    const victim = join(secrets, 'shadow')
    writeFileSync(victim, 'root:secret\n', { mode: 0o600 })
    const ttl = () => host.run('cat', '/proc/sys/net/ipv4/ip_default_ttl').trim()
    const setting = {
      kind: 'setting',
      name: 'ipv4/ip_default_ttl',
      value: ttl(),
      before: { 'ipv4/ip_default_ttl': '1' },
    }
    const record = {
      process: { pid: 1, startTime: '0', bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() },
      steps: [{ ...setting, netns: host.name, namespace: namespaceIdentity(host.name) }],
    }
    const planted = lab.path('tap-1.json')
    asMallory('sh', '-c', 'printf %s "$1" > "$2"', 'sh', JSON.stringify(record), planted)
    asMallory('ln', '-s', victim, lab.path('tap-nat.leases'))

    const running = await start()
    const [line, ...more] = running.log.filter(({ path }) => path === planted)
    assert.match(line?.msg ?? '', /^a record in the runtime directory is not used, because another user could have/)
    assert.deepEqual(more, [])
    await running.stop()
    assert.equal(ttl(), setting.value)
    assert.deepEqual([statSync(victim).uid, statSync(victim).mode & 0o777], [0, 0o600])
    assert.equal(readFileSync(victim, 'utf8'), 'root:secret\n')
    assert.ok(existsSync(planted) && lstatSync(lab.path('tap-nat.leases')).isSymbolicLink())
  })

  it("cannot enter root's records, and the next start as root puts everything in order by them", async () => {
    const { path } = recordsFolder(lab.folder)
    assert.deepEqual([statSync(path).uid, statSync(path).mode & 0o777], [0, 0o700])
    assert.throws(() => asMallory('ls', path), /Permission denied/)
    assert.throws(() => asMallory('mv', path, `${path}.away`), /Permission denied/)
    for (const name of readdirSync(lab.folder)) if (name.startsWith('tap-')) rmSync(lab.path(name))
    chownSync(lab.folder, 0, 0)
    const running = await start({})
    await running.stop()
    await host.assertStill(untouched)
    assert.ok(!existsSync(path))
  })
})
