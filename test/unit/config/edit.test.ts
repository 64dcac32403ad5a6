import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EntryEdit, editConfigText, type Option } from '#src/config/edit.js'

const edit = (text: string, transports: readonly EntryEdit[], options: readonly Option[] = []) =>
  editConfigText(text, { entries: { interfaces: [], transports }, options })

const kept = (name: string): EntryEdit => ({ name, is: 'kept' })
const made = (name: string, value: object = { name, listen: `${name}.sock` }): EntryEdit => ({ name, is: 'new', value })

describe('the text of a configuration, edited', () => {
  const text = [
    '# head',
    'transports:',
    '  # about a',
    '  - { name: a, listen: a.sock } # behind a',
    '  - name: b # behind b',
    '    listen: b.sock',
    'log: { level: info }',
    '',
  ].join('\n')

  it('is what it was when nothing changes', () => {
    assert.equal(edit(text, [kept('a'), kept('b')]), text)
  })

  it('gets new entries at the end of the list', () => {
    assert.equal(
      edit(text, [kept('a'), kept('b'), made('c')]),
      text.replace('b.sock\n', 'b.sock\n  - name: c\n    listen: "c.sock"\n'),
    )
  })

  it('loses entries with what is said about them', () => {
    assert.equal(edit(text, [kept('a')]), text.replace('  - name: b # behind b\n    listen: b.sock\n', ''))
  })

  it('gets options within an entry, the rest of which stays', () => {
    const changed: EntryEdit = { name: 'b', is: 'changed', options: [[['port', 'isolated'], true]] }
    assert.equal(
      edit(text, [kept('a'), changed]),
      text.replace('b.sock\n', 'b.sock\n    port:\n      isolated: true\n'),
    )
  })

  it('gets a list where there is none, or an empty one', () => {
    const expected = 'transports:\n  - name: a\n    listen: "a.sock"\n'
    for (const empty of ['', 'transports:\n', 'transports: []\n']) assert.equal(edit(empty, [made('a')]), expected)
    assert.equal(edit('# only a comment\n', [made('a')])?.includes('only a comment'), true)
    assert.equal(edit('', []), '')
  })

  it('puts addresses in quotes, which older readers take for numbers', () => {
    const value = { name: 'a', mac: '52:54:00:12:34:56', listen: '127.0.0.1:9000' }
    assert.match(edit('', [made('a', value)]) ?? '', /mac: "52:54:00:12:34:56"\n {4}listen: "127\.0\.0\.1:9000"/)
  })

  it('stays JSON where it was', () => {
    const json = JSON.stringify({ transports: [{ name: 'a' }], log: {} })
    const edited = edit(json, [kept('a'), made('b', { name: 'b' })], [[['switch', 'name'], 'x']])
    assert.deepEqual(JSON.parse(edited ?? ''), {
      transports: [{ name: 'a' }, { name: 'b' }],
      log: {},
      switch: { name: 'x' },
    })
  })

  it('is given up where entries are not written out in the list', () => {
    assert.equal(edit('x: &a { name: a }\ntransports: [ *a ]\n', [kept('a'), made('b')]), undefined)
    assert.equal(edit('transports: { name: a }\n', [made('b')]), undefined)
  })
})
