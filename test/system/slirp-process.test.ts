/**
 * slirp in a running switch, when its process or the data plane dies. The control plane runs in the test's own process,
 * where the threads can be reached; the guest is test code on a unixgram socket.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { ControlPlane } from '#src/control/control-plane.js'
import { eventually } from '../support/eventually.js'
import { Lab } from '../support/lab.js'
import { bytes4, packetOf, protocol, segmentOf } from '../support/packets.js'
import { recordingLogger } from '../support/recording-logger.js'
import { freePort, listening, SlirpGuest, slirpNeeds } from '../support/slirp-guest.js'
import { linux, load } from '../unit/config/load-text.js'

describe('slirp in a switch', { ...slirpNeeds(), timeout: 120_000 }, () => {
  let lab: Lab
  let control: ControlPlane
  let log: ReturnType<typeof recordingLogger>
  let threads: Worker[]
  let guest: SlirpGuest
  let server: Server
  let serverPort: number
  let forwardedPort: number
  let descriptorsBefore: number
  let isPumping: boolean
  let pumped: Promise<void>
  const note = (thread: Worker) => threads.push(thread)
  const dataPlane = () => threads[0] as Worker
  const fact = (name: string) => control.view.interfaces().find(each => each.name === 'nat')?.facts?.[name]
  const killSlirp = (signal: NodeJS.Signals) => process.kill(fact('pid') as number, signal)

  beforeEach(async () => {
    lab = await Lab.open()
    server = createServer(socket => socket.on('data', data => socket.write(data)).on('error', () => {}))
    serverPort = await listening(server)
    forwardedPort = await freePort()
    descriptorsBefore = openDescriptors()
    threads = []
    process.on('worker', note)
    log = recordingLogger()
    control = await ControlPlane.start(configure([forwardedPort]), log)
    const peer = lab.qemu('guest.sock', 'vm.sock')
    guest = new SlirpGuest('52:54:00:00:00:01', frame => void peer.send(frame).catch(() => {}))
    isPumping = true
    pumped = (async () => {
      while (isPumping) for (const frame of await peer.receiveMany(1, 50).catch(() => [])) guest.deliver(frame)
    })()
    await guest.dhcp()
  })

  afterEach(async () => {
    isPumping = false
    await pumped
    await control.stop()
    server.close()
    process.off('worker', note)
    await lab.close()
  })

  function configure(ports: number[], socket?: string) {
    const hosts = [...ports.map(number => `127.0.0.1:${number}`), ...(socket === undefined ? [] : [socket])]
    const forwards = hosts.map(host => ({ host, guest: '10.0.2.15:22' }))
    return load(
      JSON.stringify({
        runtimeDir: lab.folder,
        interfaces: [{ name: 'nat', type: 'slirp', hostLoopback: true, forwards }],
        transports: [{ name: 'vm', type: 'unixgram', listen: 'vm.sock', peers: 'one' }],
        http: false,
      }),
      { ...linux, uid: process.getuid?.() ?? 0 },
    )
  }

  /** Whether somebody listens on this port of the host. */
  async function isForwarded(number: number): Promise<boolean> {
    const socket = connect(number, '127.0.0.1').on('error', () => {})
    const accepted = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    return accepted
  }

  const findings = () => new Map(control.view.findings().findings.map(({ code, message }) => [code as string, message]))
  const port = () => control.view.ports().find(({ name }) => name === 'nat')
  const isUpAgain = (since: string | undefined) =>
    eventually(port, now => now?.up === true && now.since !== since, 'the port is up again', 15_000)

  it('keeps connections when the data plane is replaced', async () => {
    const connection = await guest.connect(bytes4('10.0.2.2'), serverPort)
    connection.send(Buffer.from('before'))
    assert.equal(await connection.read(6), 'before')
    const restarted = eventually(
      () => control.view.info().dataplane,
      ({ restarts, alive }) => restarts === 1 && alive,
      'the data plane runs again',
      15_000,
    )
    await dataPlane().terminate()
    await restarted
    await eventually(port, now => now?.up === true, 'the port is up', 15_000)
    connection.send(Buffer.from('after!'))
    assert.equal(await connection.read(6), 'after!')
    assert.equal(fact('restarts'), 0)
  })

  it('comes back by itself when its process dies, with its port and its forwards, and says so', async () => {
    const before = port()
    killSlirp('SIGBUS')
    await isUpAgain(before?.since)
    assert.equal(port()?.id, before?.id)
    assert.match(findings().get('slirp-died') as string, /libslirp [\d.]+\) died: it was ended by SIGBUS/)
    await eventually(findings, now => !now.has('slirp-restarting'), 'it runs')
    assert.equal(fact('restarts'), 1)
    assert.equal(await guest.exchange('10.0.2.2', serverPort, 'again', 5), 'again')
    await eventually(() => isForwarded(forwardedPort), Boolean, 'the forward is in force again', 15_000)
    await guest.next(frame => isSegmentTo(frame, 22), 'a SYN to port 22')
  })

  it('changes its forwards by a reload without closing anything', async () => {
    const connection = await guest.connect(bytes4('10.0.2.2'), serverPort)
    const another = await freePort()
    const report = await control.reload(configure([another]))
    assert.deepEqual(report.changed, ['nat'])
    await eventually(() => isForwarded(another), Boolean, 'the new forward')
    await eventually(
      () => isForwarded(forwardedPort),
      forwarded => !forwarded,
      'the old forward is gone',
    )
    connection.send(Buffer.from('still'))
    assert.equal(await connection.read(5), 'still')
  })

  it('is killed and started again when it hangs', async () => {
    killSlirp('SIGSTOP')
    const why = await eventually(findings, now => now.has('slirp-died'), 'it is killed', 15_000)
    assert.match(why.get('slirp-died') as string, /did not answer for 5 s/)
    await eventually(findings, now => !now.has('slirp-restarting'), 'it runs', 15_000)
    assert.equal(await guest.exchange('10.0.2.2', serverPort, 'again', 5), 'again')
  })

  it('forwards from a unix socket: bound by the process without rights, found at its path, there again after a death', async () => {
    const path = lab.path('ssh.sock')
    await control.reload(configure([forwardedPort], path))
    await eventually(() => existsSync(path), Boolean, 'the socket', 15_000)
    const knocked = async () => {
      connect(path).on('error', () => {})
      await guest.next(frame => isSegmentTo(frame, 22), 'a SYN to port 22')
    }
    assert.equal(lstatSync(path).mode & 0o777, 0o600)
    assert.equal(lstatSync(path).uid, process.getuid?.())
    await knocked()
    killSlirp('SIGKILL')
    await eventually(
      () => fact('restarts'),
      count => count === 1 + 1,
      'it was renewed for the socket, and runs again',
      15_000,
    )
    await eventually(findings, now => !now.has('slirp-restarting'), 'it runs', 15_000)
    await knocked()
    await control.reload(configure([forwardedPort]))
    await eventually(
      () => existsSync(path),
      exists => !exists,
      'the socket is gone',
    )
  })

  it('leaves nothing behind: no process, no thread, no descriptor, no port of the host', async () => {
    const { since } = port() ?? {}
    killSlirp('SIGKILL')
    await isUpAgain(since)
    const pid = fact('pid') as number
    await control.stop()
    assert.throws(() => process.kill(pid, 0), /ESRCH/)
    isPumping = false
    await pumped
    assert.equal((await once(connect(forwardedPort, '127.0.0.1'), 'error'))[0].code, 'ECONNREFUSED')
    await eventually(
      () => openDescriptors(),
      // The guest's own socket is the lab's to close.
      count => count <= descriptorsBefore + 1,
      `${descriptorsBefore} descriptors, and the guest's`,
    )
  })
})

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

function isSegmentTo(frame: Uint8Array, port: number): true | null {
  const packet = packetOf(frame)
  return packet?.protocol === protocol.tcp && segmentOf(packet.payload).to === port ? true : null
}
