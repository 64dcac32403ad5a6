import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Document, parse, visit } from 'yaml'
import { type EntryEdit, editConfigText, type Option } from '#src/config/edit.js'
import { Random, randomSeed } from '../../support/random.js'

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

  it('is given up where an option to be changed is an alias, and not where it only stands beside one', () => {
    const aliased = 'x-port: &p { isolated: true }\ntransports:\n  - name: a\n    port: *p\n'
    const change: EntryEdit = { name: 'a', is: 'changed', options: [[['port', 'isolated'], false]] }
    assert.equal(edit(aliased, [change]), undefined)
    assert.equal(edit(aliased, [kept('a')], [[['switch', 'name'], 'x']]), `${aliased}switch:\n  name: x\n`)
  })

  it('can lose an option', () => {
    const change: EntryEdit = {
      name: 'b',
      is: 'changed',
      options: [
        [['listen'], undefined],
        [['none'], undefined],
      ],
    }
    assert.equal(edit(text, [kept('a'), change]), text.replace('    listen: b.sock\n', ''))
    const inFlow: EntryEdit = { name: 'a', is: 'changed', options: [[['listen'], undefined]] }
    assert.equal(edit(text, [inFlow, kept('b')]), text.replace(', listen: a.sock', ''))
  })
})

/**
 * Every byte that a change is not about stays: each text below has its own taste, and `<...>` marks what goes or comes.
 */
describe('the style of a configuration', () => {
  const option: Option = [['switch', 'name'], 'x']
  const b: EntryEdit = made('b', { name: 'b', port: { isolated: true } })
  const cases: Record<string, [before: string, after: string, edits: EntryEdit[], options?: Option[]]> = {
    'Windows line ends': [
      'transports:\r\n  - name: a\r\n',
      'transports:\r\n  - name: a\r\n  - name: b\r\n    port:\r\n      isolated: true\r\n',
      [kept('a'), b],
    ],
    'a byte order mark': ['\ufefftransports: []\n', '\ufefftransports: []\nswitch:\n  name: x\n', [], [option]],
    'blank lines, and comments between entries': [
      'transports:\n\n  # one\n  - name: a\n\n  # two\n\n  - name: c\n\n# end\nhttp: false\n',
      'transports:\n\n  # one\n  - name: a\n\n  # two\n\n  - name: c\n  - name: b\n    port:\n      isolated: true\n\n# end\nhttp: false\n',
      [kept('a'), kept('c'), b],
    ],
    'spaces within braces': [
      'switch: {name:   lab ,maxFrameSize: 1518}\ntransports:\n- {name: a}\n-   {name: c   }\n',
      'switch: {name:   x ,maxFrameSize: 1518}\ntransports:\n- {name: a}\n-   {name: c   }\n- { name: b, port: { isolated: true } }\n',
      [kept('a'), kept('c'), b],
      [option],
    ],
    'lists that are not indented, and lists that are a lot': [
      'transports:\n- name: a\ninterfaces:\n        - name: x\n',
      'transports:\n- name: a\n- name: b\n  port:\n    isolated: true\ninterfaces:\n        - name: x\n',
      [kept('a'), b],
    ],
    quotes: [
      "switch: { name: 'lab' }\ntransports: [ { \"name\": 'a' } ]\n",
      "switch: { name: 'lab' }\ntransports: [ { \"name\": 'a' }, { name: b, port: { isolated: true } } ]\n",
      [kept('a'), b],
    ],
    'no line break at the end': [
      'transports:\n  - name: a',
      'transports:\n  - name: a\nswitch:\n  name: x',
      [kept('a')],
      [option],
    ],
    'text blocks': [
      'transports:\n  - name: a\n    note: |\n      one\n      two\nhttp: false\n',
      'transports:\n  - name: a\n    note: |\n      one\n      two\n  - name: b\n    port:\n      isolated: true\nhttp: false\n',
      [kept('a'), b],
    ],
    'JSON over several lines': [
      '{\n  "transports": [\n    { "name": "a" }\n  ],\n  "http": false\n}\n',
      '{\n  "transports": [\n    { "name": "a" },\n    { "name": "b", "port": { "isolated": true } }\n  ],\n  "http": false,\n  "switch": { "name": "x" }\n}\n',
      [kept('a'), b],
      [option],
    ],
    'what is left of a list in one line': [
      'transports: [ {name: a}, {name: c},  {name: d} ] # !\n',
      'transports: [ {name: c} ] # !\n',
      [kept('c')],
    ],
    'a list that loses all': [
      'transports:\n  - name: a\n  - name: c\nhttp: false\n',
      'transports: []\nhttp: false\n',
      [],
    ],
    'an entry that is replaced': [
      'transports:\n  # one\n  - name: a   # !\n    listen: a.sock\n  - name: c\n',
      'transports:\n  # one\n  - name: a\n    listen: "z.sock"\n  - name: c\n',
      [{ name: 'a', is: 'replaced', value: { name: 'a', listen: 'z.sock' } }, kept('c')],
    ],
  }
  for (const [what, [before, after, edits, options = []]] of Object.entries(cases)) {
    it(`stays: ${what}`, () => {
      const interfaces = before.includes('interfaces') ? [kept('x')] : []
      assert.equal(editConfigText(before, { entries: { interfaces, transports: edits }, options }), after)
    })
  }
})

describe(`edits of random configurations (TAPSWITCH_SEED=${randomSeed})`, () => {
  const random = new Random(randomSeed)
  const pick = random.pick.bind(random)
  const names = ['a', 'b', 'c', 'd', 'e']
  const port = () =>
    pick([undefined, {}, { isolated: true }, { isolated: false, fdb: { static: ['52:54:00:00:00:01'] } }])
  const entry = (name: string) => {
    const chosen = port()
    return { name, listen: `${name}.sock`, ...(chosen && { port: chosen }) }
  }
  /** The same content in one of many styles. */
  function written(content: object): string {
    const style = random.between(0, 3)
    if (style === 0) return JSON.stringify(content, null, pick([undefined, 1, 2, 4]))
    const document = new Document(content)
    visit(document, {
      Collection(_key, node) {
        if (random.next() < 0.3) node.flow = true
      },
    })
    const text = document.toString({
      indent: pick([2, 4]),
      indentSeq: random.next() < 0.5,
      flowCollectionPadding: random.next() < 0.5,
      lineWidth: 0,
    })
    const lines = text
      .split('\n')
      .flatMap(line => (random.next() < 0.1 && !/[{[]\s*$/.test(line) ? [line, '# word'] : [line]))
    return lines.join(pick(['\n', '\r\n']))
  }

  it('mean what the edits say, and nothing else', () => {
    let edited = 0
    for (let i = 0; i < 2000; i++) {
      const present = names.filter(() => random.next() < 0.5)
      const before = {
        ...(random.next() < 0.5 && { switch: { name: 'lab', fdb: { ageingSeconds: 3 } } }),
        transports: present.map(entry),
        ...(random.next() < 0.5 && { http: false }),
      }
      const expected = structuredClone(before) as Record<string, never> & typeof before & { switch?: { name: string } }
      const text = written(before)
      const edits: EntryEdit[] = []
      expected.transports = []
      for (const each of before.transports) {
        const roll = random.between(0, 4)
        if (roll === 0) continue
        const after = structuredClone(each) as { name: string; port?: Record<string, unknown> }
        if (roll === 1) {
          const value = pick<unknown>([true, false, 7, 'x:y', [1, 2], [], undefined])
          edits.push({ name: each.name, is: 'changed', options: [[['port', 'isolated'], value]] })
          after.port = { ...after.port, isolated: value }
          if (value === undefined) {
            delete after.port['isolated']
            if (each.port === undefined) delete after.port
          }
        } else if (roll === 2) {
          const value = { name: each.name, forwards: [{ host: '127.0.0.1:1', guest: 'g' }] }
          edits.push({ name: each.name, is: 'replaced', value })
          expected.transports.push(value as never)
          continue
        } else edits.push(kept(each.name))
        expected.transports.push(after as never)
      }
      for (const name of ['f', 'g']) {
        if (random.next() < 0.5) continue
        const value = entry(name)
        edits.push({ name, is: 'new', value })
        expected.transports.push(value)
      }
      const options: Option[] = random.next() < 0.5 ? [[['switch', 'name'], 'new']] : []
      if (options.length > 0) expected.switch = { ...expected.switch, name: 'new' } as never
      const result = edit(text, edits, options)
      if (result === undefined) continue
      edited++
      assert.deepEqual(parse(result), expected, `${JSON.stringify(edits)} on\n${text}\nbecame\n${result}`)
    }
    assert.ok(edited > 1980, `only ${edited} of 2000 could be edited`)
  })
})
