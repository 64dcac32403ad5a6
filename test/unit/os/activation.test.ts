import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { takeActivation } from '#src/os/activation.js'

const taken = (env: NodeJS.ProcessEnv) => Object.fromEntries(takeActivation(env, 42))

describe('sockets from systemd', () => {
  it('are known by their names, several of one name in order', () => {
    assert.deepEqual(taken({ LISTEN_PID: '42', LISTEN_FDS: '3', LISTEN_FDNAMES: 'vms:web:vms' }), {
      vms: [3, 5],
      web: [4],
    })
  })

  it('are unknown where nobody named them', () => {
    assert.deepEqual(taken({ LISTEN_PID: '42', LISTEN_FDS: '2' }), { unknown: [3, 4] })
    assert.deepEqual(taken({ LISTEN_PID: '42', LISTEN_FDS: '3', LISTEN_FDNAMES: 'a::' }), { a: [3], unknown: [4, 5] })
  })

  it('are left alone when they are for another process, or nobody passed any', () => {
    assert.deepEqual(taken({ LISTEN_PID: '41', LISTEN_FDS: '1' }), {})
    assert.deepEqual(taken({}), {})
    assert.deepEqual(taken({ LISTEN_PID: '42', LISTEN_FDS: '-1' }), {})
    assert.deepEqual(taken({ LISTEN_PID: '42', LISTEN_FDS: 'many' }), {})
  })

  it('leave nothing in the environment, for children would take them for their own', () => {
    const env = { PATH: '/bin', LISTEN_PID: '41', LISTEN_FDS: '1', LISTEN_FDNAMES: 'a', LISTEN_PIDFDID: '7' }
    takeActivation(env, 42)
    assert.deepEqual(env, { PATH: '/bin' })
  })
})
