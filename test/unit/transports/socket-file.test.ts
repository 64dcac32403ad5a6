import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { OperatorError } from '#src/errors.js'
import { platformLayout } from '#src/os/os.js'
import * as unix from '#src/os/unix-socket.js'
import {
  applyAccess,
  type BoundSocket,
  bindSocketFile,
  fileIdentity,
  removeSocketFile,
  replaceSocketFile,
  type SocketFileOptions,
} from '#src/transports/socket-file.js'
import { RawPeer } from '../../support/raw-peer.js'
import { requirements } from '../../support/requires.js'

const layout = platformLayout()

describe('a socket file', () => {
  let folder: string
  let path: string
  const open: number[] = []
  const optionsFor = (at: string, more: Partial<SocketFileOptions> = {}): SocketFileOptions => ({
    path: at,
    permissions: 0o600,
    owner: null,
    group: null,
    ...more,
  })
  const bind = (more: Partial<SocketFileOptions> = {}): BoundSocket => {
    const bound = bindSocketFile(layout, optionsFor(path, more))
    open.push(bound.fd)
    return bound
  }
  const refused = (message: RegExp, options = optionsFor(path)) => {
    assert.throws(
      () => bindSocketFile(layout, options),
      (error: unknown) => error instanceof OperatorError && message.test(error.message),
    )
  }
  const modeOf = (file: string) => statSync(file).mode & 0o777

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
    path = join(folder, 'vms.sock')
  })
  afterEach(() => {
    for (const fd of open.splice(0)) unix.closeSocket(fd)
    chmodSync(folder, 0o700)
    rmSync(folder, { recursive: true })
  })

  it('hears what is sent to its path, and is alone in its folder', async () => {
    bind()
    assert.deepEqual(readdirSync(folder), ['vms.sock'])
    assert.ok(statSync(path).isSocket())
    const peer = RawPeer.unbound({ sendTo: path })
    assert.deepEqual(peer.sendNow(Uint8Array.of(1)), { count: 1, error: null })
    peer.close()
  })

  it('gives no mode or owner to what another user put in its place', requirements({ root: true }), () => {
    const victim = join(folder, 'victim')
    writeFileSync(victim, '', { mode: 0o600 })
    symlinkSync(victim, path)
    const options = optionsFor(path, { permissions: 0o666, owner: 65_534 })
    assert.throws(() => applyAccess(options, path), /not our socket|too many symbolic links/)
    rmSync(path)
    linkSync(victim, path)
    assert.throws(() => applyAccess(options, path), /is not our socket any more/)
    assert.deepEqual([statSync(victim).uid, modeOf(victim)], [0, 0o600])
  })

  for (const permissions of [0o600, 0o660, 0o666, 0o777, 0o000]) {
    it(`has mode 0${permissions.toString(8)} exactly, whatever the umask, which stays`, () => {
      const before = process.umask(0o027)
      try {
        bind({ permissions })
        assert.equal(modeOf(path), permissions)
        assert.equal(process.umask(), 0o027)
      } finally {
        process.umask(before)
      }
    })
  }

  it('has the owner and group it was given', requirements({ root: true }), () => {
    bind({ owner: 12345, group: 54321 })
    const { uid, gid } = statSync(path)
    assert.deepEqual([uid, gid], [12345, 54321])
    applyAccess(optionsFor(path, { permissions: 0o660, group: 777 }), path)
    assert.deepEqual([statSync(path).uid, statSync(path).gid, modeOf(path)], [12345, 777, 0o660])
  })

  it('takes the place of one that answers nobody', () => {
    const dead = RawPeer.bind(path)
    dead.close()
    const before = statSync(path).ino
    const { inode } = bind()
    assert.equal(BigInt(statSync(path).ino), inode)
    assert.notEqual(statSync(path).ino, before)
  })

  it('is refused where somebody listens', () => {
    const live = RawPeer.bind(path)
    refused(/another process listens on ".*vms\.sock"/)
    assert.deepEqual(readdirSync(folder), ['vms.sock'])
    live.close()
  })

  it('is refused where somebody listens who is connected elsewhere', () => {
    const other = RawPeer.bind(join(folder, 'other'))
    const live = RawPeer.bind(path, { connectTo: join(folder, 'other') })
    refused(/another process listens/)
    live.close()
    other.close()
  })

  it('is refused where a stream socket listens', async () => {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(path, resolve))
    refused(/another process listens/)
    await new Promise(resolve => server.close(resolve))
  })

  it('leaves alone what is not a socket, and a link even to one', () => {
    writeFileSync(path, 'precious')
    refused(/exists and is not a socket; it is left alone/)
    rmSync(path)
    mkdirSync(path)
    refused(/not a socket/)
    rmSync(path, { recursive: true })
    symlinkSync(join(folder, 'elsewhere'), path)
    refused(/not a socket/)
    assert.deepEqual(readdirSync(folder), ['vms.sock'])
  })

  it('says how long a path may be, in bytes', () => {
    const limit = layout.sockaddrUn.pathSize - 1
    const long = (bytes: number) => `${folder}/`.padEnd(bytes, 'x')
    refused(new RegExp(`is ${limit + 1} bytes, at most ${limit} allowed`), optionsFor(long(limit + 1)))
    const bound = bindSocketFile(layout, optionsFor(long(limit)))
    open.push(bound.fd)
    assert.ok(statSync(long(limit)).isSocket())
  })

  it('takes a short name where the temporary one would be too long', () => {
    const limit = layout.sockaddrUn.pathSize - 1
    const deep = `${folder}/`.padEnd(limit - 2, 'd')
    mkdirSync(deep)
    const at = `${deep}/a`
    open.push(bindSocketFile(layout, optionsFor(at)).fd)
    assert.deepEqual([readdirSync(deep), modeOf(at)], [['a'], 0o600])
    open.push(replaceSocketFile(layout, optionsFor(at)).fd)
    assert.deepEqual(readdirSync(deep), ['a'])
  })

  it('needs a folder that is there and is one', () => {
    refused(/the directory ".*nowhere" does not exist/, optionsFor(join(folder, 'nowhere/a.sock')))
    writeFileSync(join(folder, 'file'), '')
    refused(/"[^"]*file" is not a directory/, optionsFor(join(folder, 'file/a.sock')))
  })

  it('is made in a folder reached through a link', () => {
    mkdirSync(join(folder, 'real'))
    symlinkSync('real', join(folder, 'link'))
    open.push(bindSocketFile(layout, optionsFor(join(folder, 'link/a.sock'))).fd)
    assert.deepEqual(readdirSync(join(folder, 'real')), ['a.sock'])
  })

  it('leaves nothing behind when it cannot get its owner', () => {
    refused(/cannot set up the socket ".*vms\.sock"/, optionsFor(path, { owner: -5 }))
    assert.deepEqual(readdirSync(folder), [])
  })

  it('is handed over without a moment in which nobody answers', () => {
    const first = bind()
    const client = RawPeer.unbound({ connectTo: path })
    const second = replaceSocketFile(layout, optionsFor(path))
    open.push(second.fd)
    assert.notEqual(second.inode, first.inode)
    assert.deepEqual(client.sendNow(Uint8Array.of(1)), { count: 1, error: null })
    const next = RawPeer.unbound({ connectTo: path })
    assert.deepEqual(readdirSync(folder), ['vms.sock'])
    client.close()
    next.close()
  })

  it('is removed by its own, and by nobody else', () => {
    const ours = bind()
    const theirs = RawPeer.bind(join(folder, 'theirs'))
    renameSync(join(folder, 'theirs'), path)
    removeSocketFile(path, ours.inode)
    assert.ok(existsSync(path))
    theirs.close()
    const again = bind()
    removeSocketFile(path, again.inode)
    assert.equal(existsSync(path), false)
    removeSocketFile(path, again.inode)
  })

  it('is told from its successor at the same path', () => {
    const peer = RawPeer.bind(path)
    const first = fileIdentity(Buffer.from(path))
    assert.equal(fileIdentity(Buffer.from(path)), first)
    peer.close({ unlink: true })
    assert.equal(fileIdentity(Buffer.from(path)), undefined)
    const next = RawPeer.bind(path)
    assert.notEqual(fileIdentity(Buffer.from(path)), first)
    next.close()
    assert.equal(fileIdentity(Buffer.from('\0abstract')), undefined)
  })
})
