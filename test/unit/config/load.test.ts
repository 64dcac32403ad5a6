import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { loadConfig } from '#src/config/load.js'
import { ConfigError } from '#src/errors.js'
import { complaints, linux, load } from './load-text.js'

const unixgram = (more: string) => `transports: [{ name: vms, type: unixgram, ${more} }]`

/** What `http` has when only `listen` is said. */
const closed = {
  permissions: 0o600,
  owner: null,
  group: null,
  anonymous: 'read',
  tokens: [],
  allowedHosts: [],
  tls: null,
  allowedPaths: [],
  secretsDir: null,
  allowedTargets: [],
  allowedInterfaces: ['slirp', 'auto'],
}

describe('a configuration', () => {
  it('has a default for everything', () => {
    assert.deepEqual(load(''), {
      file: '/etc/tapswitch.yaml',
      runtimeDir: '/run/user/1000/tapswitch',
      switch: {
        name: 'tapswitch',
        maxFrameSize: 1518,
        maxPorts: 1024,
        bufferBytes: 67_108_864,
        fdb: { ageingSeconds: 300, maxEntries: 16_384, maxEntriesPerPort: 4096 },
      },
      interfaces: [],
      transports: [],
      http: { listen: '127.0.0.1:9676', ...closed },
      process: null,
      sandbox: 'auto',
      log: { level: 'info' },
    })
  })

  it('fills in a listening transport', () => {
    assert.deepEqual(load(unixgram('listen: vms.sock')).transports, [
      {
        type: 'unixgram',
        role: 'listen',
        name: 'vms',
        listen: '/run/user/1000/tapswitch/vms.sock',
        peers: 'many',
        maxPeers: 64,
        permissions: 0o600,
        owner: null,
        group: null,
        port: { maxFrameSize: 1518, isolated: false, queueFrames: 2048, fdb: { maxEntries: 4096, static: [] } },
      },
    ])
  })

  it('impairs and traces a port only where it says so, and fills in the rest of an impairment', () => {
    const [transport] = load(unixgram('listen: vms.sock, port: { impairment: { loss: 0.5 }, trace: true }')).transports
    assert.deepEqual(transport?.port.impairment, {
      seed: 1,
      loss: 0.5,
      duplicate: 0,
      reorder: 0,
      reorderMs: 5,
      delayMs: 0,
      jitterMs: 0,
      bitsPerSecond: 0,
      holdFrames: 4096,
    })
    assert.equal(transport?.port.trace, true)
  })

  it('fills in a connecting transport', () => {
    const text = unixgram('connect: { local: a.sock, remote: /srv/x/../b.sock }, handshake: vfkit')
    assert.deepEqual(load(text).transports, [
      {
        type: 'unixgram',
        role: 'connect',
        name: 'vms',
        connect: { local: '/run/user/1000/tapswitch/a.sock', remote: '/srv/b.sock' },
        handshake: 'vfkit',
        permissions: 0o600,
        owner: null,
        group: null,
        port: { maxFrameSize: 1518, isolated: false, queueFrames: 2048, fdb: { maxEntries: 4096, static: [] } },
      },
    ])
  })

  it('gives a transport with one peer one port', () => {
    const [transport] = load(unixgram('listen: a.sock, peers: one')).transports
    assert.ok(transport.type === 'unixgram' && transport.role === 'listen')
    assert.deepEqual([transport.peers, transport.maxPeers], ['one', 1])
  })

  it('turns names of accounts into numbers and a mode into a number', () => {
    const [transport] = load(unixgram('listen: a.sock, owner: alice, group: staff, permissions: "660"')).transports
    assert.ok(transport.type === 'unixgram')
    assert.deepEqual([transport.owner, transport.group, transport.permissions], [1001, 50, 0o660])
  })

  it('takes numbers for accounts, quoted or not', () => {
    const [transport] = load(unixgram('listen: a.sock, owner: 0, group: "77"')).transports
    assert.ok(transport.type === 'unixgram')
    assert.deepEqual([transport.owner, transport.group], [0, 77])
  })

  it('writes static addresses the usual way', () => {
    const [{ port }] = load(
      unixgram('listen: a, peers: one, port: { fdb: { static: [02-00-00-00-00-0A] } }'),
    ).transports
    assert.deepEqual(port.fdb.static, ['02:00:00:00:00:0a'])
  })

  it('gives ports the limits of the switch unless they have their own', () => {
    const limits = 'switch: { maxFrameSize: 9018, fdb: { maxEntriesPerPort: 10 } }\n'
    const [inherited] = load(`${limits}${unixgram('listen: a')}`).transports
    assert.deepEqual([inherited.port.maxFrameSize, inherited.port.fdb.maxEntries], [9018, 10])
    const [own] = load(
      `${limits}${unixgram('listen: a, port: { maxFrameSize: 1514, fdb: { maxEntries: 20 } }')}`,
    ).transports
    assert.deepEqual([own.port.maxFrameSize, own.port.fdb.maxEntries], [1514, 20])
  })

  it('keeps the limit of a port within a small table', () => {
    assert.equal(load('switch: { fdb: { maxEntries: 100 } }').switch.fdb.maxEntriesPerPort, 100)
  })

  it('puts sockets into /tmp where XDG_RUNTIME_DIR is missing or relative', () => {
    assert.equal(load('', { ...linux, env: {} }).runtimeDir, '/tmp/tapswitch-1000')
    assert.equal(load('', { ...linux, env: { XDG_RUNTIME_DIR: 'run' } }).runtimeDir, '/tmp/tapswitch-1000')
  })

  it('normalises runtimeDir', () => {
    assert.equal(load('runtimeDir: /run//a/../tapswitch/').runtimeDir, '/run/tapswitch')
  })

  it('turns HTTP off, or puts it on a socket', () => {
    assert.equal(load('http: false').http, false)
    assert.deepEqual(load('http: { listen: api.sock }').http, {
      listen: '/run/user/1000/tapswitch/api.sock',
      ...closed,
    })
    assert.deepEqual(load('http: { listen: "[::1]:0" }').http, { listen: '[::1]:0', ...closed })
  })

  it('may be JSON, and may name its schema', () => {
    assert.equal(load('{ "$schema": "tapswitch.schema.json", "switch": { "name": "lab" } }').switch.name, 'lab')
  })

  it('measures paths by the platform', () => {
    const path = `/${'p'.repeat(103)}`
    assert.deepEqual(complaints(unixgram(`listen: ${path}`)), [])
    assert.deepEqual(complaints(unixgram(`listen: ${path}`), { ...linux, platform: 'darwin' }), [
      `transports[0].listen: "${path.slice(0, 59)}…" is 104 bytes, at most 103 allowed on this system`,
    ])
  })
})

describe('loadConfig', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tapswitch-load-'))
  const file = join(directory, 'config.yaml')
  after(() => rmSync(directory, { recursive: true }))

  it('returns something nobody can change', () => {
    writeFileSync(file, unixgram('listen: vms.sock'))
    const config = loadConfig(file, { XDG_RUNTIME_DIR: directory })
    assert.equal(config.file, file)
    assert.throws(() => Object.assign(config.transports[0].port.fdb, { maxEntries: 1 }), TypeError)
  })

  it('makes no directory and no file', () => {
    writeFileSync(file, unixgram('listen: vms.sock'))
    loadConfig(file, { XDG_RUNTIME_DIR: directory })
    assert.deepEqual(readdirSync(directory), ['config.yaml'])
  })

  it('looks accounts up on this machine', { skip: process.platform === 'linux' ? false : 'reads /etc/passwd' }, () => {
    writeFileSync(file, unixgram('listen: vms.sock, owner: root, group: root'))
    const [transport] = loadConfig(file).transports
    assert.ok(transport.type === 'unixgram')
    assert.deepEqual([transport.owner, transport.group], [0, 0])
    writeFileSync(file, unixgram('listen: vms.sock, owner: no-such-user, group: no-such-group'))
    assert.throws(() => loadConfig(file), {
      message:
        'transports[0].owner: "no-such-user" is not a user of this system\n' +
        'transports[0].group: "no-such-group" is not a group of this system',
    })
  })

  it('says what is wrong with the file itself', () => {
    const missing = join(directory, 'missing.yaml')
    assert.throws(() => loadConfig(missing), new ConfigError([{ path: missing, message: 'no such file' }]))
    assert.throws(() => loadConfig(directory), new ConfigError([{ path: directory, message: 'is a directory' }]))
    writeFileSync(file, '#'.repeat(1024 * 1024 + 1))
    assert.throws(() => loadConfig(file), { message: `${file}: is 1048577 bytes, at most 1048576 allowed` })
  })
})
