import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { effectiveConfig } from '#src/config/effective.js'
import { complaints, load } from './load-text.js'

const socket = 'transports: [{ name: vms, type: unixgram, listen: vms.sock }]'
const ownership = (text: string) => {
  const [{ owner, group }] = load(text).transports as unknown as [{ owner: number | null; group: number | null }]
  return [owner, group]
}

describe('whom the process goes on as', () => {
  it('is whoever started it, where nothing is said', () => {
    assert.equal(load('').process, null)
    assert.deepEqual(ownership(socket), [null, null])
  })

  it('is a user, with the group it has or another', () => {
    assert.deepEqual(load('process: { user: alice }').process, { uid: 1001, gid: 1001 })
    assert.deepEqual(load('process: { user: alice, group: staff }').process, { uid: 1001, gid: 50 })
    assert.deepEqual(load('process: { user: 4000, group: 4001 }').process, { uid: 4000, gid: 4001 })
  })

  it('owns the sockets that name no other owner', () => {
    assert.deepEqual(ownership(`process: { user: alice }\n${socket}`), [1001, 1001])
    const other = socket.replace('vms.sock', 'vms.sock, group: staff')
    assert.deepEqual(ownership(`process: { user: alice }\n${other}`), [1001, 50])
    const { http } = load('process: { user: alice }\nhttp: { listen: api.sock }')
    assert.deepEqual(http && [http.owner, http.group], [1001, 1001])
  })

  it('is written back as it would be in a file', () => {
    const { process } = effectiveConfig(load('process: { user: alice, group: staff, sandbox: off }'))
    assert.deepEqual(process, { user: 1001, group: 50, sandbox: 'off' })
    assert.deepEqual(effectiveConfig(load('')).process, { sandbox: 'auto' })
  })

  for (const [text, line] of [
    ['process: { user: mallory }', 'process.user: "mallory" is not a user of this system'],
    ['process: { user: alice, group: wheel }', 'process.group: "wheel" is not a group of this system'],
    ['process: { user: 4000 }', 'process.group: missing, user 4000 has no group of its own'],
    ['process: { group: staff }', 'process.group: only with process.user'],
    ['process: { sandbox: strict }', 'process.sandbox: "strict" is not one of "auto", "off"'],
    [
      'process: { user: alice }\ninterfaces: [{ name: nat, type: tap, mode: shared, address: 10.9.0.1/24 }]',
      'interfaces[0].mode: "shared" is not together with process.user: root has to undo it at the end',
    ],
  ] as const) {
    it(`is refused: ${line}`, () => assert.deepEqual(complaints(text), [line]))
  }
})
