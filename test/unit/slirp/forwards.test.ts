import assert from 'node:assert/strict'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createOs } from '#src/os/os.js'
import { bindUnix, closeSocket, openUnixDatagram } from '#src/os/unix-socket.js'
import { Forwards } from '#src/slirp/forwards.js'
import type { Needs } from '#src/slirp/messages.js'
import { slirpConfig } from '../../support/slirp-config.js'

const parts = {
  config: slirpConfig({ hostLoopback: true }),
  layout: createOs().layout,
  folder: '/nowhere',
  command: async () => ({ ok: true }),
  prepare: async () => {},
}
const forwards = () => new Forwards(parts)

describe('forwards of datagrams', () => {
  const first = { protocol: 'udp', host: '127.0.0.1:1000', guest: '10.0.2.15:53' } as const
  const second = { protocol: 'udp', host: '127.0.0.1:1001', guest: '10.0.2.15:53' } as const

  it('lead to a port of a guest from one place of the host', async () => {
    const list = forwards()
    await list.add(first)
    await assert.rejects(
      list.add(second),
      /"10\.0\.2\.15:53" of the guest is forwarded from "127\.0\.0\.1:1000" already/,
    )
    await list.add({ ...second, guest: '10.0.2.15:54' })
    await list.add({ ...second, protocol: 'tcp' })
    await list.remove(first)
    await list.add({ ...first, host: '127.0.0.1:1002' })
  })
})

describe('what forwards need of the slirp process', () => {
  it('is asked for before each that needs more, and only then', async () => {
    const asked: Needs[] = []
    const list = new Forwards({ ...parts, prepare: async needs => void asked.push(needs) })
    await list.add({ protocol: 'tcp', host: '127.0.0.1:1024', guest: '10.0.2.15:22' })
    await list.add({ protocol: 'tcp', host: '127.0.0.1:1023', guest: '10.0.2.15:22' })
    await list.add({ protocol: 'tcp', host: '[::1]:2000', guest: '[fd00::15]:22' })
    assert.deepEqual(asked, [
      { unixSockets: false, lowPorts: false },
      { unixSockets: false, lowPorts: true },
      { unixSockets: false, lowPorts: true },
    ])
  })

  it('is known of those that the process starts with', () => {
    const list = forwards()
    list.expect([{ protocol: 'tcp', host: '/run/ssh.sock', guest: '10.0.2.15:22' }])
    assert.deepEqual(list.needs, { unixSockets: true, lowPorts: false })
  })
})

describe('a unix socket that the slirp process made', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-forwards-'))
    mkdirSync(join(folder, 'process'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  /** Forwards beside a process that does `make` in its folder. */
  const beside = (make: (path: string) => void) =>
    new Forwards({
      ...parts,
      folder: join(folder, 'process'),
      command: async command => {
        if (command.type === 'add-forward') make(join(folder, 'process', basename(command.forward.host)))
        return { ok: true }
      },
    })
  const forward = () => ({ protocol: 'tcp', host: join(folder, 'ssh.sock'), guest: '10.0.2.15:22' }) as const

  it('is not taken for one when it is a link to another file: that is left as it was', async () => {
    const secret = join(folder, 'secret')
    writeFileSync(secret, 'text', { mode: 0o600 })
    const list = beside(path => symlinkSync(secret, path))
    await assert.rejects(list.add(forward()), /slirp made no socket/)
    assert.equal(readFileSync(secret, 'utf8'), 'text')
    assert.equal(lstatSync(secret).mode & 0o777, 0o600)
    assert.equal(existsSync(forward().host), false)
  })

  it('is an error when it is not there', async () => {
    await assert.rejects(beside(() => {}).add(forward()), /cannot listen on .*ssh\.sock/)
  })

  it('takes the place of no socket of another kind that is in use', async () => {
    const fd = openUnixDatagram(parts.layout)
    try {
      assert.equal(bindUnix(parts.layout, fd, forward().host), 0)
      const { ino } = lstatSync(forward().host)
      const list = beside(path => assert.fail(`${path} is made`))
      await assert.rejects(list.add(forward()), /ssh\.sock" is a socket in use; it is left alone/)
      assert.equal(lstatSync(forward().host).ino, ino)
    } finally {
      closeSocket(fd)
    }
  })
})
