import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { mappingOf } from '#src/cli/client/change.js'
import { eventLine } from '#src/cli/client/events.js'
import { printable, tableText } from '#src/cli/client/table.js'
import { shortDuration, shortNumber } from '#src/cli/client/units.js'
import { UsageError } from '#src/errors.js'

describe('a table', () => {
  const columns = [
    { title: 'PORT', cell: (row: { port: string; frames: number }) => row.port },
    { title: 'FRAMES', cell: (row: { port: string; frames: number }) => row.frames, align: 'right' as const },
  ]

  it('has columns as wide as their widest cell, numbers to the right, no blanks at the end', () => {
    const rows = [
      { port: 'vms:1', frames: 7 },
      { port: 'b', frames: 12_345_678 },
    ]
    assert.equal(tableText(columns, rows), 'PORT     FRAMES\nvms:1         7\nb      12345678')
  })

  it('shows no control character that a peer may have sent', () => {
    assert.equal(printable('a\x1b[2Jb\r\n\u202e'), 'a?[2Jb???')
  })
})

describe('a number for people', () => {
  for (const [value, text] of [
    [0, '0'],
    [999, '999'],
    [1000, '1.00k'],
    [12_345, '12.3k'],
    [999_499, '999k'],
    [999_600, '1.00M'],
    [2.5e9, '2.50G'],
    [0.333, '0.33'],
  ] as const) {
    it(`is ${text} for ${value}`, () => assert.equal(shortNumber(value), text))
  }

  it('is a duration in its largest unit', () => {
    assert.deepEqual([3, 89.6, 600, 7200, 200_000].map(shortDuration), ['3 s', '90 s', '10 min', '2 h', '2 d'])
  })
})

describe('what is to be added or set', () => {
  it('is option=value words, with dots into mappings', () => {
    assert.deepEqual(mappingOf(['name=vm1', 'peers=one', 'port.isolated=true', 'port.fdb.maxEntries=16']), {
      name: 'vm1',
      peers: 'one',
      port: { isolated: true, fdb: { maxEntries: 16 } },
    })
  })

  it('is one mapping in braces', () => {
    assert.deepEqual(mappingOf(['{ name: vm1, remotes: [10.0.0.2] }']), { name: 'vm1', remotes: ['10.0.0.2'] })
  })

  it('keeps what is no YAML as it is', () => {
    assert.deepEqual(mappingOf(['listen=[::1]:9000', 'filter=a=b']), { listen: '[::1]:9000', filter: 'a=b' })
  })

  it('is refused when it is neither', () => {
    for (const words of [['name'], ['=1'], ['[1, 2]'], ['{ a'], ['__proto__.x=1']]) {
      assert.throws(() => mappingOf(words), UsageError, words.join(' '))
    }
  })
})

describe('an event', () => {
  it('is a line with its time, kind and fields', () => {
    const data = JSON.stringify({ id: 7, type: 'port-up', at: '2026-01-02T03:04:05.678Z', port: 'vms:1', peer: null })
    assert.equal(eventLine({ event: 'port-up', id: '7', data }), '03:04:05.678  port-up           port=vms:1')
  })

  it('that is no JSON is shown all the same', () => {
    assert.equal(eventLine({ event: 'odd', id: undefined, data: 'x\x07' }), 'odd               data=x?')
  })
})
