import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { effectiveConfig } from '#src/config/effective.js'
import { complaints, load } from './load-text.js'

const one = (options: string) => `transports: [{ name: a, type: stream, ${options} }]`

describe('a stream transport', () => {
  it('listens on a path, an address, or what systemd made', () => {
    const listen = (address: string) => {
      const [transport] = load(one(`listen: ${address}`)).transports
      assert.ok(transport?.type === 'stream' && transport.role === 'listen')
      return transport.listen
    }
    assert.equal(listen('vms.sock'), '/run/user/1000/tapswitch/vms.sock')
    assert.equal(listen('/srv/vms'), '/srv/vms')
    assert.equal(listen('"127.0.0.1:9000"'), '127.0.0.1:9000')
    assert.equal(listen('"[::1]:0"'), '[::1]:0')
    assert.equal(listen('"systemd:vms"'), 'systemd:vms')
  })

  it('listens off loopback only when that is allowed', () => {
    for (const address of ['0.0.0.0:9000', '[::]:9000', '10.0.0.1:9000', 'host.example:9000']) {
      assert.match(complaints(one(`listen: "${address}"`)).join(), /^transports\[0\]\.listen: .*allowRemote: true$/)
      assert.deepEqual(complaints(one(`listen: "${address}", allowRemote: true`)), [])
    }
  })

  it('connects to a path or an address, but not to port 0, nor to itself', () => {
    assert.deepEqual(complaints(one('connect: /tmp/passt.sock')), [])
    assert.deepEqual(complaints(one('connect: "host.example:9000"')), [])
    for (const wrong of ['"127.0.0.1:0"', '"systemd:a"', 'nonsense']) {
      assert.match(complaints(one(`connect: ${wrong}`)).join(), /^transports\[0\]\.connect: .* is not the path/)
    }
    const loop = 'transports: [{ name: a, type: stream, listen: a.sock }, { name: b, type: stream, connect: a.sock }]'
    assert.match(complaints(loop).join(), /that is a loop/)
  })

  it('says which options belong to the other role', () => {
    assert.match(complaints(one('connect: a.sock, maxPeers: 3')).join(), /maxPeers: .*only with listen/)
    assert.match(complaints(one('listen: a.sock, peers: one, maxPeers: 3')).join(), /maxPeers: .*only with peers: many/)
  })

  for (const options of [
    'listen: vms.sock, owner: 3, permissions: "0660", maxPeers: 9',
    'listen: "[::1]:9000", peers: one, framing: hyperkit',
    'listen: "0.0.0.0:9000", allowRemote: true, keepAliveSeconds: 0',
    'connect: "peer.example:9000"',
  ]) {
    it(`is shown as one could write it: ${options}`, () => {
      const config = load(one(options))
      const [shown] = (effectiveConfig(config) as { transports: object[] }).transports
      assert.deepEqual(load(JSON.stringify({ transports: [shown] })).transports, config.transports)
    })
  }
})

describe('an fd transport', () => {
  it('needs a descriptor behind the standard ones', () => {
    assert.deepEqual(complaints('transports: [{ name: a, type: fd, fd: 3 }]'), [])
    assert.match(complaints('transports: [{ name: a, type: fd, fd: 2 }]').join(), /fd: 2 is not a whole number from 3/)
  })
})
