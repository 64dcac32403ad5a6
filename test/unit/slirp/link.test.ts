import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { read, write } from '#src/os/libc.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { platformLayout } from '#src/os/os.js'
import { streamPair } from '#src/os/stream-socket.js'
import { closeSocket } from '#src/os/unix-socket.js'
import { SlirpLink } from '#src/slirp/link.js'
import { SharedState } from '#src/slirp/shared-state.js'

describe('the link between slirp and the data plane', () => {
  let ours: number
  let theirs: number
  let shared: SharedState
  let link: SlirpLink
  const memory = new NativeMemory(8 * 1024 * 1024)

  beforeEach(() => {
    ;[ours, theirs] = streamPair(platformLayout())
    shared = new SharedState()
    link = new SlirpLink(ours, shared)
  })

  afterEach(() => {
    closeSocket(ours)
    if (theirs >= 0) closeSocket(theirs)
  })

  function say(bytes: Uint8Array): void {
    memory.bytes.set(bytes)
    assert.equal(write(theirs, memory.address, bytes.length), bytes.length)
  }

  function hear(): Buffer {
    const count = read(theirs, memory.address, memory.bytes.length)
    return Buffer.from(memory.bytes.slice(0, Math.max(0, count)))
  }

  function received(): string[] {
    const frames: string[] = []
    link.receive((bytes, offset, length) =>
      frames.push(Buffer.from(bytes.subarray(offset, offset + length)).toString()),
    )
    return frames
  }

  const framed = (text: string) =>
    Buffer.concat([Uint8Array.of(0, 0, text.length >> 8, text.length), Buffer.from(text)])

  function append(text: string): void {
    memory.bytes.set(Buffer.from(text))
    link.append(memory.address, text.length)
  }

  it('hands on every frame of one read', () => {
    say(Buffer.concat([framed('one'), framed('two'), framed('three')]))
    assert.deepEqual(received(), ['one', 'two', 'three'])
  })

  it('puts together what arrives in pieces, cut at every byte', () => {
    const whole = Buffer.concat([framed('first'), framed('second')])
    for (let cut = 1; cut < whole.length; cut++) {
      say(whole.subarray(0, cut))
      const before = received()
      say(whole.subarray(cut))
      assert.deepEqual([...before, ...received()], ['first', 'second'], `cut at ${cut}`)
    }
  })

  for (const [what, bytes] of Object.entries({
    '0 bytes': [0, 0, 0, 0],
    '16 MiB': [1, 0, 0, 0],
    '-1': [255, 255, 255, 255],
  })) {
    it(`does not go on after a length of ${what}`, () => {
      say(Uint8Array.from(bytes))
      assert.throws(received, /out of step/)
    })
  }

  it('writes all frames of a turn at once, each with its length', () => {
    append('one')
    append('two')
    assert.equal(hear().length, 0, 'nothing before flush')
    link.flush()
    assert.deepEqual(hear(), Buffer.concat([framed('one'), framed('two')]))
    assert.equal(link.pending, 0)
  })

  it('keeps what the socket does not take, says so early, and drops and counts what does not fit', () => {
    const frame = 'x'.repeat(1000)
    let sent = 0
    while (!link.isCongested) {
      append(frame)
      link.flush()
      sent++
    }
    assert.equal(shared.counts().dropped, 0)
    while (shared.counts().dropped === 0) {
      append(frame)
      sent++
    }
    let heard = 0
    for (let piece = hear(); piece.length > 0; piece = hear()) {
      heard += piece.length
      link.flush()
    }
    assert.equal(heard, (sent - 1) * 1004, 'all but the one that was dropped')
    assert.equal(link.pending, 0)
  })

  it('waits for another socket when the other end goes, and begins anew on it', () => {
    say(framed('whole').subarray(0, 6))
    assert.deepEqual(received(), [])
    closeSocket(theirs)
    assert.deepEqual(received(), [])
    assert.equal(link.fd, -1)
    ;[ours, theirs] = streamPair(platformLayout())
    link.join(ours)
    say(framed('again'))
    assert.deepEqual(received(), ['again'])
  })
})
