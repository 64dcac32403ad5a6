import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { loadConfig } from '#src/config/load.js'
import { optionTable, schemaText } from '#src/config/reference.js'

const root = new URL('../../../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

describe('what is written from the schema', () => {
  it('config/tapswitch.schema.json is current (npm run generate)', () => {
    assert.deepEqual(JSON.parse(read('config/tapswitch.schema.json')), JSON.parse(schemaText()))
  })

  it('docs/configuration.md has the current table (npm run generate)', () => {
    const [, table] = /<!-- options -->\n([\s\S]*?)\n<!-- \/options -->/.exec(read('docs/configuration.md')) ?? []
    assert.equal(table, optionTable())
  })

  it('describes every option', () => {
    assert.deepEqual(
      optionTable()
        .split('\n')
        .filter(row => /\|\s*\|$/.test(row) && !row.startsWith('| **')),
      [],
    )
  })
})

describe('config/', () => {
  const files = readdirSync(new URL('config/', root)).filter(file => !file.endsWith('.schema.json'))

  it('has a file to start with', () => assert.ok(files.includes('default.yaml')))

  for (const file of files) {
    it(`${file} is valid and names its schema`, () => {
      const config = loadConfig(new URL(`config/${file}`, root).pathname, { XDG_RUNTIME_DIR: '/run/user/1000' })
      assert.ok(config.transports.length > 0)
      assert.match(read(`config/${file}`), /^# yaml-language-server: \$schema=\.\/tapswitch\.schema\.json\n/)
    })
  }
})
