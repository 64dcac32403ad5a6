import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fault } from '#src/dataplane/endpoint.js'
import { darwinLayout, type ErrorName, linuxLayout } from '#src/os/layout.js'
import { inetFaults, streamFaults, unixFaults } from '#src/transports/send-fault.js'

type Meanings = Partial<Record<ErrorName, keyof typeof Fault>>

const room: Meanings = { EAGAIN: 'wait', ENOBUFS: 'wait', ENOMEM: 'wait', EINTR: 'retry' }

const unix: Meanings = {
  ...room,
  ECONNRESET: 'retry',
  ECONNREFUSED: 'gone',
  ENOENT: 'gone',
  ENOTCONN: 'gone',
  EPIPE: 'gone',
  EPERM: 'gone',
  ENOTSOCK: 'gone',
  EPROTOTYPE: 'gone',
  EMSGSIZE: 'tooLong',
  EINVAL: 'skip',
}

const inet: Meanings = { ...room, ECONNREFUSED: 'retry', EMSGSIZE: 'tooLong', EPERM: 'skip', EINVAL: 'skip' }
const stream: Meanings = { ...room, ECONNRESET: 'gone', EPIPE: 'gone', EINVAL: 'gone' }

for (const layout of [linuxLayout, darwinLayout]) {
  for (const [kind, faultOf, meaning, otherwise] of [
    ['unix', unixFaults(layout), unix, 'skip'],
    ['UDP', inetFaults(layout), inet, 'skip'],
    ['stream', streamFaults(layout), stream, 'gone'],
  ] as const) {
    describe(`errors of sending by a ${kind} socket on ${layout.platform}`, () => {
      for (const [name, fault] of Object.entries(meaning)) {
        it(`means "${fault}" by ${name}`, () => {
          assert.equal(faultOf(layout.errno[name as ErrorName]), Fault[fault])
        })
      }

      it(`means "${otherwise}" by an error it has never heard of`, () => {
        assert.equal(faultOf(250), Fault[otherwise])
        assert.equal(faultOf(100_000), Fault[otherwise])
      })
    })
  }
}
