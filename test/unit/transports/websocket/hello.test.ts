import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { helloHeaders, readHello } from '#src/transports/websocket/hello.js'

const instance = '6f1c0a52-3f0e-4f57-9d1c-0d6f2f6f7a01'
const link = '93ab0a52-3f0e-4f57-9d1c-0d6f2f6f7a02'
const lower = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

describe('what switches tell each other', () => {
  it('is read as it was written, whatever the name', () => {
    for (const name of ['lab', 'Büro 3. OG', '実験室', 'a"b,c']) {
      const hello = { instance, link, nonce: 'n'.repeat(22), proof: 'p'.repeat(86), name, maxFrameSize: 9018 }
      assert.deepEqual(readHello(lower(helloHeaders(hello))), hello)
    }
  })

  it('fits into headers', () => {
    for (const value of Object.values(
      helloHeaders({ instance, link, nonce: '', proof: '', name: 'Büro\n実', maxFrameSize: 1518 }),
    )) {
      assert.match(value, /^[\x21-\x7e]+$/)
    }
  })

  it('is nothing where there is no instance', () => {
    assert.equal(readHello({}), null)
    assert.equal(readHello({ 'x-tapswitch-instance': 'a b' }), null)
    assert.equal(readHello({ 'x-tapswitch-instance': 'x'.repeat(1000) }), null)
  })

  it('is short and printable, whatever was sent', () => {
    const hello = readHello({
      'x-tapswitch-instance': instance,
      'x-tapswitch-link': '../..',
      'x-tapswitch-name': `%0A%1B[31m${'n'.repeat(500)}`,
      'x-tapswitch-max-frame': '-1',
    })
    assert.deepEqual([hello?.link, hello?.maxFrameSize, hello?.name.length], ['', null, 64])
    assert.match(hello?.name ?? '', /^[\x20-\x7e]+$/)
    assert.equal(readHello({ 'x-tapswitch-instance': instance, 'x-tapswitch-name': '%E0%A4%A' })?.name, 'unnamed')
  })
})
