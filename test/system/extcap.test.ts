/** Wireshark's way to a running switch, walked by tshark: the interfaces it lists, and frames captured through them. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { eventually } from '../support/eventually.js'
import { arpReply, arpRequest, ipv4Echo } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { projectRoot } from '../support/project-root.js'
import type { RawPeer } from '../support/raw-peer.js'
import { requirements } from '../support/requires.js'
import { spawnBound } from '../support/spawn.js'
import type { SwitchProcess } from '../support/switch-process.js'

const run = promisify(execFile)
/** The personal folder up to Wireshark 4.0, and since. */
const folders = ['.config/wireshark/extcap', '.local/lib/wireshark/extcap']

describe('tshark', { timeout: 180_000, ...requirements({ commands: ['tshark'] }) }, () => {
  let lab: Lab
  let running: SwitchProcess
  let alice: RawPeer
  let bob: RawPeer
  let env: NodeJS.ProcessEnv

  beforeEach(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
    alice = lab.qemu('alice.sock', 'vms.sock')
    bob = lab.qemu('bob.sock', 'vms.sock')
    await alice.send(arpRequest)
    await bob.send(arpReply)
    await eventually(
      () => running.api.ports(),
      ports => ports.length === 2,
      'both ports',
    )
    env = {
      ...process.env,
      HOME: lab.folder,
      XDG_CONFIG_HOME: '',
      TAPSWITCH_URL: running.api.url,
      TAPSWITCH_TOKEN_FILE: lab.path('control.token'),
    }
    for (const folder of folders) {
      const link = join(lab.folder, folder, 'tapswitch-extcap')
      await mkdir(dirname(link), { recursive: true })
      await symlink(join(projectRoot, 'scripts/tapswitch-extcap'), link)
    }
  })

  afterEach(() => lab.close())

  /** What it prints, a line an element; frames keep coming until it ends. */
  async function captured(args: string[], environment: NodeJS.ProcessEnv): Promise<string[]> {
    const fields = ['frame.interface_name', '_ws.col.Protocol', 'frame.cap_len']
    const child: ChildProcess = spawnBound(
      'tshark',
      ['-l', '-n', ...args, '-T', 'fields', ...fields.flatMap(name => ['-e', name])],
      { env: environment, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const [out, err] = [text(child.stdout as Readable), text(child.stderr as Readable)]
    const exited = once(child, 'exit', { signal: AbortSignal.timeout(90_000) })
    let ended = false
    exited
      .catch(() => child.kill('SIGKILL'))
      .finally(() => {
        ended = true
      })
    while (!ended) {
      await alice.send([ipv4Echo, arpRequest])
      bob.receiveNow()
      await delay(20)
    }
    assert.equal((await exited)[0], 0, await err)
    return (await out).trimEnd().split('\n')
  }

  it('lists each port of a running switch, and all', async () => {
    const { stdout } = await run('tshark', ['-D'], { env })
    const ours = stdout.match(/tapswitch-.*/g)
    assert.deepEqual(ours, [
      'tapswitch-all (tapswitch, every port)',
      'tapswitch-vms:1 (tapswitch, port vms:1 (unixgram))',
      'tapswitch-vms:2 (tapswitch, port vms:2 (unixgram))',
    ])
    assert.match((await run('tshark', ['-i', 'tapswitch-all', '-L'], { env })).stdout, /EN10MB \(Ethernet\)/)
  })

  it('lists one interface where no switch runs, since that has the option to name one', async () => {
    const { stdout } = await run('tshark', ['-D'], { env: { ...env, TAPSWITCH_URL: 'http://127.0.0.1:1' } })
    assert.deepEqual(stdout.match(/tapswitch-.*/g), ['tapswitch-all (tapswitch, every port)'])
  })

  it('captures from every port, and leaves no capture behind', async () => {
    const lines = await captured(['-i', 'tapswitch-all', '-c', '8'], env)
    assert.equal(lines.length, 8)
    assert.deepEqual([...new Set(lines)].sort(), [
      `vms:1\tARP\t${arpRequest.length}`,
      `vms:1\tICMP\t${ipv4Echo.length}`,
      `vms:2\tARP\t${arpRequest.length}`,
      `vms:2\tICMP\t${ipv4Echo.length}`,
    ])
    await eventually(
      () => running.api.captures(),
      captures => captures.length === 0,
      'no capture',
      20_000,
    )
  })

  it('captures from one port, through a filter of the switch', async () => {
    const lines = await captured(['-i', 'tapswitch-vms:2', '-f', 'icmp', '-c', '3'], env)
    assert.deepEqual(lines, Array(3).fill(`vms:2\tICMP\t${ipv4Echo.length}`))
  })

  it('takes the options that Wireshark offers: another switch, bytes of each frame', async () => {
    const { TAPSWITCH_URL: url, ...without } = env
    const options = [`url:${url}`, 'snaplen:20', 'port:vms:1'].flatMap(option => [
      '-o',
      `extcap.tapswitch_all.${option}`,
    ])
    const lines = await captured([...options, '-i', 'tapswitch-all', '-c', '4'], without)
    assert.ok(
      lines.every(line => line.startsWith('vms:1\t') && line.endsWith('\t20')),
      lines.join('; '),
    )
  })
})

describe('the program that Wireshark calls', () => {
  const program = join(projectRoot, 'scripts/tapswitch-extcap')
  const call = (...args: string[]) => run(program, args).then(({ stdout }) => stdout)

  it('says nothing of a good filter, and what is wrong with another', async () => {
    assert.equal(await call('--extcap-interface', 'tapswitch-all', '--extcap-capture-filter', 'arp or port 53'), '')
    assert.match(await call('--extcap-interface', 'tapswitch-all', '--extcap-capture-filter', 'arp or'), /^[^\n]+\n$/)
  })

  it('asks for a port only where the interface is not one', async () => {
    const config = (name: string) => call('--extcap-config', '--extcap-interface', name)
    assert.match(
      await config('tapswitch-all'),
      /\{call=--url\}.*\{default=http:\/\/127\.0\.0\.1:9676\}[\s\S]*\{call=--port\}/,
    )
    assert.doesNotMatch(await config('tapswitch-vms:1'), /--port/)
  })

  it('puts up with options of a Wireshark to come', async () => {
    assert.match(await call('--extcap-interfaces', '--extcap-version=9.9', '--extcap-new'), /^extcap \{version=/)
  })
})
