/** Vectors of datagrams through the kernel, by recvmmsg and sendmmsg and by single calls. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { linuxLayout } from '#src/os/layout.js'
import { MessageVector } from '#src/os/message-vector.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { createOs, type Os, PortableOs } from '#src/os/os.js'
import { decodeUnixAddress, encodeUnixAddress, SOCKADDR_UN_STORAGE } from '#src/os/sockaddr-un.js'
import * as unix from '#src/os/unix-socket.js'
import { requirements } from '../../support/requires.js'

const { errno } = linuxLayout
const CAPACITY = 8
const SLOT = 64

for (const [name, os] of [
  ['vectors', createOs()],
  ['single calls', new PortableOs(linuxLayout)],
] as [string, Os][]) {
  describe(`datagrams by ${name}`, requirements({ platform: 'linux' }), () => {
    let folder: string
    let one: number
    let other: number
    const open = (file: string) => {
      const fd = unix.openUnixDatagram(linuxLayout)
      assert.equal(unix.bindUnix(linuxLayout, fd, join(folder, file)), 0)
      return fd
    }
    const addressOf = (file: string) => encodeUnixAddress(linuxLayout, join(folder, file))
    const vectorOn = (memory: NativeMemory, names: boolean) => {
      const vector = new MessageVector(linuxLayout, CAPACITY, names)
      for (let i = 0; i < CAPACITY; i++) vector.setBuffer(i, memory.address + i * SLOT, SLOT)
      return vector
    }

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
      one = open('one')
      other = open('other')
    })
    afterEach(() => {
      unix.closeSocket(one)
      unix.closeSocket(other)
      rmSync(folder, { recursive: true })
    })

    it('bring lengths, content and the address of each sender', () => {
      const third = open('third-with-a-longer-name')
      for (const [fd, length] of [
        [other, 3],
        [third, 0],
        [other, 64],
        [third, 65],
      ] as const) {
        assert.equal(unix.connectUnix(fd, addressOf('one')), 0)
        assert.equal(unix.sendUnix(linuxLayout, fd, new Uint8Array(length).fill(length)), length)
      }
      const memory = new NativeMemory(CAPACITY * SLOT)
      const vector = vectorOn(memory, true)
      assert.equal(os.receiveMessages(one, vector, CAPACITY), 4)
      assert.deepEqual(
        [0, 1, 2, 3].map(i => vector.length(i)),
        [3, 0, 64, 65],
        'the last is as long as it was sent; 64 bytes of it fitted',
      )
      assert.equal(memory.bytes[2 * SLOT + 63], 64)
      assert.deepEqual(
        [0, 1, 2, 3].map(i => decodeUnixAddress(linuxLayout, vector.name(i))),
        ['other', 'third-with-a-longer-name', 'other', 'third-with-a-longer-name'].map(file => join(folder, file)),
      )
      assert.equal(vector.nameWords.length, (CAPACITY * SOCKADDR_UN_STORAGE) / 4)
      vector.resetNames(4)
      assert.equal(os.receiveMessages(one, vector, CAPACITY), -errno.EAGAIN)
      unix.closeSocket(third)
    })

    it('have no address when the sender was never bound', () => {
      const stray = unix.openUnixDatagram(linuxLayout)
      unix.connectUnix(stray, addressOf('one'))
      unix.sendUnix(linuxLayout, stray, Uint8Array.of(1))
      const vector = vectorOn(new NativeMemory(CAPACITY * SLOT), true)
      assert.equal(os.receiveMessages(one, vector, CAPACITY), 1)
      assert.equal(decodeUnixAddress(linuxLayout, vector.name(0)), undefined)
      unix.closeSocket(stray)
    })

    it('are sent until the peer is full, and the count says how many', () => {
      assert.equal(unix.connectUnix(other, addressOf('one')), 0)
      const memory = new NativeMemory(CAPACITY * SLOT)
      for (let i = 0; i < CAPACITY; i++) memory.bytes[i * SLOT] = i
      const vector = vectorOn(memory, false)
      let sent = 0
      let last = CAPACITY
      for (let calls = 0; calls < 10_000 && last > 0; calls++) {
        last = os.sendMessages(other, vector, CAPACITY)
        if (last > 0) sent += last
      }
      assert.equal(last, -errno.EAGAIN)
      const incoming = new NativeMemory(CAPACITY * SLOT)
      const receiving = vectorOn(incoming, true)
      let received = 0
      for (let count = CAPACITY; count === CAPACITY; ) {
        count = os.receiveMessages(one, receiving, CAPACITY)
        for (let i = 0; i < count; i++) assert.equal(incoming.bytes[i * SLOT], (received + i) % CAPACITY)
        received += Math.max(0, count)
        receiving.resetNames(CAPACITY)
      }
      assert.equal(received, sent)
    })

    it('go by address from a socket that is not connected', () => {
      const target = new NativeMemory(SOCKADDR_UN_STORAGE)
      const address = addressOf('one')
      target.bytes.set(address)
      const vector = vectorOn(new NativeMemory(CAPACITY * SLOT), false)
      for (let i = 0; i < 3; i++) vector.setName(i, target.address, address.length)
      assert.equal(os.sendMessages(other, vector, 3), 3)
      assert.equal(os.receiveMessages(one, vectorOn(new NativeMemory(CAPACITY * SLOT), true), CAPACITY), 3)
    })

    it('are refused with the error of the first when nobody is there', () => {
      const vector = vectorOn(new NativeMemory(CAPACITY * SLOT), false)
      assert.equal(os.sendMessages(other, vector, 3), -errno.ENOTCONN)
      unix.connectUnix(other, addressOf('one'))
      unix.closeSocket(one)
      assert.equal(os.sendMessages(other, vector, 3), -errno.ECONNREFUSED)
      one = unix.openUnixDatagram(linuxLayout)
    })
  })
}

describe('unix sockets', requirements({ platform: 'linux' }), () => {
  it('are probed by connecting again, and let go by dissolving', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
    const [a, b, stranger] = ['a', 'b', 'c'].map(file => {
      const fd = unix.openUnixDatagram(linuxLayout)
      unix.bindUnix(linuxLayout, fd, join(folder, file))
      return fd
    }) as [number, number, number]
    const addressOf = (file: string) => encodeUnixAddress(linuxLayout, join(folder, file))
    assert.equal(unix.connectUnix(a, addressOf('b')), 0)
    assert.equal(unix.connectUnix(a, addressOf('b')), 0)
    assert.equal(unix.connectUnix(stranger, addressOf('a')), -errno.EPERM)
    assert.equal(unix.disconnectUnix(linuxLayout, a), 0)
    assert.equal(unix.connectUnix(stranger, addressOf('a')), 0)
    unix.closeSocket(b)
    assert.equal(unix.connectUnix(a, addressOf('b')), -errno.ECONNREFUSED)
    assert.equal(unix.connectUnix(a, addressOf('never')), -errno.ENOENT)
    unix.closeSocket(a)
    unix.closeSocket(stranger)
    rmSync(folder, { recursive: true })
  })

  it('have the send buffer that was asked for, as Linux counts it: twice', () => {
    const fd = unix.openUnixDatagram(linuxLayout)
    unix.sizeSocketBuffers(linuxLayout, fd, 65536, 0)
    assert.equal(unix.sendBufferSize(linuxLayout, fd), 131072)
    unix.closeSocket(fd)
  })

  it('answer with the error of bind when the path is taken', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
    const fd = unix.openUnixDatagram(linuxLayout)
    assert.equal(unix.bindUnix(linuxLayout, fd, join(folder, 'a')), 0)
    const second = unix.openUnixDatagram(linuxLayout)
    assert.equal(unix.bindUnix(linuxLayout, second, join(folder, 'a')), -errno.EADDRINUSE)
    unix.closeSocket(fd)
    unix.closeSocket(second)
    rmSync(folder, { recursive: true })
  })
})
