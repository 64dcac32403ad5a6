import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { withEntry, withoutEntry } from '#src/config/change.js'
import { ConfigError } from '#src/errors.js'
import { linux, load } from './load-text.js'

const config = load('transports: [{ name: vms, type: unixgram, listen: vms.sock }]\nlog: { level: warn }')

describe('a configuration with one entry more', () => {
  const next = withEntry(config, 'transports', { name: 'vm1', type: 'unixgram', listen: 'vm1.sock' }, linux)

  it('has it at the end, with every default filled in', () => {
    const [, added] = load(
      'transports: [{ name: vms, type: unixgram, listen: vms.sock }, { name: vm1, type: unixgram, listen: vm1.sock }]',
    ).transports
    assert.deepEqual(next.transports[1], added)
  })

  it('is otherwise the same', () => {
    assert.deepEqual({ ...next, transports: next.transports.slice(0, 1) }, config)
  })

  it('can be an interface', () => {
    assert.equal(withEntry(config, 'interfaces', { name: 'up', type: 'auto' }, linux).interfaces[0].name, 'up')
  })

  it('is without it again when it is taken away', () => {
    assert.deepEqual(withoutEntry(next, 'transports', 'vm1'), config)
  })
})

describe('a configuration without an entry that is not there', () => {
  it('is the same', () => assert.deepEqual(withoutEntry(config, 'interfaces', 'vms'), config))
})

describe('an entry that does not fit', () => {
  const complaints = (entry: unknown): string[] => {
    try {
      withEntry(config, 'transports', entry, linux)
    } catch (error) {
      if (error instanceof ConfigError) return error.problems.map(({ path, message }) => `${path}: ${message}`)
      throw error
    }
    return []
  }

  it('is told by the path within it', () => {
    const entry = { name: 'b', type: 'unixgram', listen: 'b.sock', peers: 'few', queue: 1 }
    assert.deepEqual(
      complaints(entry).map(line => line.split(':')[0]),
      ['peers', 'queue'],
    )
  })

  it('is told when something else has its name or its path', () => {
    assert.deepEqual(complaints({ name: 'vms', type: 'unixgram', listen: 'vms.sock' }), [
      'listen: "/run/user/1000/tapswitch/vms.sock" is taken by transports[0].listen; every socket needs a path of its own',
      'name: "vms" is taken by transports[0].name; names must differ',
    ])
  })

  it('may be no mapping at all', () => {
    assert.deepEqual(complaints(7), [': 7 is not a transport: a mapping with name and type'])
  })
})
