/** Byte layouts of both kernels, spelled out: a Mac is not needed to see that an offset is where its headers put it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { darwinLayout, type Layout, linuxLayout } from '#src/os/layout.js'
import { MessageVector } from '#src/os/message-vector.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { platformLayout } from '#src/os/os.js'
import { decodeUnixAddress, encodeUnixAddress, SOCKADDR_UN_STORAGE } from '#src/os/sockaddr-un.js'
import { viewOf } from '../../support/memory-at.js'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const raw = (layout: Layout, path: string) =>
  Uint8Array.from([...encodeUnixAddress(layout, '').subarray(0, layout.sockaddrUn.pathOffset), ...Buffer.from(path)])

describe('struct sockaddr_un', () => {
  it('starts with a 16-bit family on Linux', () => {
    assert.equal(hex(encodeUnixAddress(linuxLayout, '/a')), '0100' + '2f61' + '00')
  })

  it('starts with its length and an 8-bit family on macOS', () => {
    assert.equal(hex(encodeUnixAddress(darwinLayout, '/a')), '05' + '01' + '2f61' + '00')
  })

  for (const [layout, most] of [
    [linuxLayout, 107],
    [darwinLayout, 103],
  ] as const) {
    it(`takes a path of ${most} bytes on ${layout.platform}, and says the limit for one more`, () => {
      const path = '/'.padEnd(most, 'x')
      assert.equal(encodeUnixAddress(layout, path).length, 2 + most + 1)
      assert.throws(() => encodeUnixAddress(layout, `${path}x`), {
        name: 'RangeError',
        message: new RegExp(`${most}$`),
      })
      assert.ok(2 + most + 1 <= SOCKADDR_UN_STORAGE)
    })

    it(`counts bytes, not characters, on ${layout.platform}`, () => {
      assert.throws(() => encodeUnixAddress(layout, 'ä'.repeat(60)), RangeError)
    })

    it(`is read back with and without the NUL, and filled up, on ${layout.platform}`, () => {
      const withNul = encodeUnixAddress(layout, '/run/vm.sock')
      const whole = new Uint8Array(2 + layout.sockaddrUn.pathSize)
      whole.set(withNul)
      for (const address of [withNul, withNul.subarray(0, -1), whole]) {
        assert.equal(decodeUnixAddress(layout, address), '/run/vm.sock')
      }
    })

    it(`has no path for a socket that was never bound, on ${layout.platform}`, () => {
      assert.equal(decodeUnixAddress(layout, new Uint8Array(0)), undefined)
      assert.equal(decodeUnixAddress(layout, raw(layout, '')), undefined)
      assert.equal(decodeUnixAddress(layout, raw(layout, '\0')), undefined)
    })

    it(`lets no peer write control characters into a log, on ${layout.platform}`, () => {
      assert.equal(decodeUnixAddress(layout, raw(layout, '/a\n\x1b[2J\u202e\u2028b')), '/a??[2J??b')
      assert.equal(decodeUnixAddress(layout, Uint8Array.of(...raw(layout, '/a'), 0xff, 0xc0)), '/a??')
    })
  }

  it("has Linux's abstract names, and no such thing on macOS", () => {
    assert.equal(decodeUnixAddress(linuxLayout, raw(linuxLayout, '\0vm\n1')), '@vm?1')
    assert.equal(decodeUnixAddress(darwinLayout, raw(darwinLayout, '\0vm1')), undefined)
  })
})

describe('struct msghdr in a vector', () => {
  it('is struct mmsghdr on Linux: 64 bytes, the received length at 56', () => {
    const vector = new MessageVector(linuxLayout, 3, true)
    assert.equal(vector.stride, 64)
    const headers = viewOf(vector.address, 3 * 64)
    for (let i = 0; i < 3; i++) {
      const at = i * 64
      assert.equal(headers.getUint32(at + 8, true), SOCKADDR_UN_STORAGE, 'msg_namelen')
      assert.equal(headers.getBigUint64(at + 24, true), 1n, 'msg_iovlen')
      assert.equal(headers.getBigUint64(at + 32, true), 0n, 'msg_control')
      assert.equal(headers.getBigUint64(at + 40, true), 0n, 'msg_controllen')
      headers.setUint32(at + 56, 1000 + i, true)
      assert.equal(vector.length(i), 1000 + i)
    }
  })

  it('is struct msghdr on macOS: 48 bytes, iovlen a 32-bit number at 24, no received length', () => {
    const vector = new MessageVector(darwinLayout, 3, true)
    assert.equal(vector.stride, 48)
    const headers = viewOf(vector.address, 3 * 48)
    for (let i = 0; i < 3; i++) {
      const at = i * 48
      assert.equal(headers.getUint32(at + 8, true), SOCKADDR_UN_STORAGE, 'msg_namelen')
      assert.equal(headers.getInt32(at + 24, true), 1, 'msg_iovlen')
      assert.equal(headers.getBigUint64(at + 32, true), 0n, 'msg_control')
      assert.equal(headers.getUint32(at + 40, true), 0, 'msg_controllen')
      assert.equal(headers.getInt32(at + 44, true), 0, 'msg_flags')
    }
    const before = hex(new Uint8Array(headers.buffer, 0, 3 * 48))
    vector.setLength(2, 77)
    assert.equal(vector.length(2), 77)
    assert.equal(hex(new Uint8Array(headers.buffer, 0, 3 * 48)), before, 'setLength writes nowhere into the headers')
  })

  for (const layout of [linuxLayout, darwinLayout]) {
    it(`points to one iovec and one name of its own, on ${layout.platform}`, () => {
      const vector = new MessageVector(layout, 3, true)
      const headers = viewOf(vector.address, 3 * vector.stride)
      const frames = new NativeMemory(3 * 2048)
      const names: bigint[] = []
      for (let i = 0; i < 3; i++) {
        vector.setBuffer(i, frames.address + i * 2048, 1500 + i)
        names.push(headers.getBigUint64(i * vector.stride, true))
        const iovec = viewOf(Number(headers.getBigUint64(i * vector.stride + 16, true)), 16)
        assert.equal(iovec.getBigUint64(0, true), BigInt(frames.address + i * 2048))
        assert.equal(iovec.getBigUint64(8, true), BigInt(1500 + i))
      }
      assert.deepEqual(
        names.map(address => Number(address - (names[0] as bigint))),
        [0, SOCKADDR_UN_STORAGE, 2 * SOCKADDR_UN_STORAGE],
      )
    })

    it(`gives the room for names back, and copies a name in its length, on ${layout.platform}`, () => {
      const vector = new MessageVector(layout, 2, true)
      const headers = viewOf(vector.address, 2 * vector.stride)
      const address = encodeUnixAddress(layout, '/run/b')
      const storage = viewOf(Number(headers.getBigUint64(vector.stride, true)), SOCKADDR_UN_STORAGE)
      new Uint8Array(storage.buffer).set(address)
      headers.setUint32(vector.stride + 8, address.length, true)
      assert.equal(vector.nameLength(1), address.length)
      assert.equal(hex(vector.name(1)), hex(address))
      headers.setUint32(vector.stride + 8, 4000, true)
      assert.equal(vector.name(1).length, SOCKADDR_UN_STORAGE, 'a length that lies reads nothing beyond the room')
      vector.resetNames(2)
      assert.deepEqual([vector.nameLength(0), vector.nameLength(1)], [SOCKADDR_UN_STORAGE, SOCKADDR_UN_STORAGE])
    })

    it(`has no name to send to on a connected socket, on ${layout.platform}`, () => {
      const vector = new MessageVector(layout, 1, false)
      const headers = viewOf(vector.address, vector.stride)
      assert.equal(headers.getBigUint64(0, true), 0n)
      assert.equal(headers.getUint32(8, true), 0)
      vector.setName(0, 0x7fff_1234_5678, 23)
      assert.equal(headers.getBigUint64(0, true), 0x7fff_1234_5678n)
      assert.equal(headers.getUint32(8, true), 23)
    })
  }
})

describe('the numbers of both kernels', () => {
  it('are those of the headers where they differ', () => {
    assert.deepEqual([linuxLayout.errno.EAGAIN, darwinLayout.errno.EAGAIN], [11, 35])
    assert.deepEqual([linuxLayout.errno.ENOBUFS, darwinLayout.errno.ENOBUFS], [105, 55])
    assert.deepEqual([linuxLayout.errno.ECONNREFUSED, darwinLayout.errno.ECONNREFUSED], [111, 61])
    assert.deepEqual([linuxLayout.constants.MSG_DONTWAIT, darwinLayout.constants.MSG_DONTWAIT], [0x40, 0x80])
    assert.deepEqual([linuxLayout.constants.SOL_SOCKET, darwinLayout.constants.SOL_SOCKET], [1, 0xffff])
    assert.deepEqual([linuxLayout.constants.O_NONBLOCK, darwinLayout.constants.O_NONBLOCK], [0x800, 0x4])
  })

  it('are chosen by platform, and only for those that are supported', () => {
    assert.equal(platformLayout('linux'), linuxLayout)
    assert.equal(platformLayout('darwin'), darwinLayout)
    assert.throws(() => platformLayout('win32'), /win32 is not supported/)
  })
})
