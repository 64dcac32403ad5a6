import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fault } from '#src/dataplane/endpoint.js'
import { darwinLayout, type ErrorName, linuxLayout } from '#src/os/layout.js'
import { sendFaults } from '#src/transports/unixgram/send-fault.js'

const meaning: Partial<Record<ErrorName, keyof typeof Fault>> = {
  EAGAIN: 'wait',
  ENOBUFS: 'wait',
  ENOMEM: 'wait',
  EINTR: 'retry',
  ECONNRESET: 'retry',
  ECONNREFUSED: 'gone',
  ENOENT: 'gone',
  ENOTCONN: 'gone',
  EPIPE: 'gone',
  EPERM: 'gone',
  ENOTSOCK: 'gone',
  EPROTOTYPE: 'gone',
  EMSGSIZE: 'skip',
  EINVAL: 'skip',
}

for (const layout of [linuxLayout, darwinLayout]) {
  describe(`errors of sending a datagram on ${layout.platform}`, () => {
    const faultOf = sendFaults(layout)
    for (const [name, fault] of Object.entries(meaning)) {
      it(`means "${fault}" by ${name}`, () => {
        assert.equal(faultOf(layout.errno[name as ErrorName]), Fault[fault])
      })
    }

    it('skips the frame at an error it has never heard of', () => {
      assert.equal(faultOf(250), Fault.skip)
      assert.equal(faultOf(100_000), Fault.skip)
    })
  })
}
