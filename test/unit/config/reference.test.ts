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
  const files = readdirSync(new URL('config/', root)).filter(file => file.endsWith('.yaml'))

  it('has a file to start with', () => assert.ok(files.includes('default.yaml')))

  for (const file of files) {
    it(`${file} is valid and names its schema`, () => {
      const config = loadConfig(new URL(`config/${file}`, root).pathname, { XDG_RUNTIME_DIR: '/run/user/1000' })
      assert.ok(config.transports.length > 0)
      assert.match(read(`config/${file}`), /^# yaml-language-server: \$schema=\.\/tapswitch\.schema\.json\n/)
    })
  }
})

describe('the units for systemd', () => {
  const unit = (file: string) => read(`config/${file}`)
  const value = (text: string, key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1]

  it('name the socket that systemd.yaml asks for, where the service does not remove it', () => {
    const socket = unit('tapswitch.socket')
    assert.match(read('config/systemd.yaml'), new RegExp(`listen: "systemd:${value(socket, 'FileDescriptorName')}"`))
    const directory = `/run/${value(unit('tapswitch.service'), 'RuntimeDirectory')}/`
    assert.equal(value(socket, 'ListenStream')?.startsWith(directory), false)
  })

  it('start node itself, for systemd passes sockets to the main process only', () => {
    assert.match(value(unit('tapswitch.service'), 'ExecStart') as string, /^\/usr\/bin\/node .*main\.js run -c /)
  })
})

describe('the daemon of launchd', () => {
  const plist = read('config/dev.tapswitch.plist')
  const after = (key: string) => new RegExp(`<key>${key}</key>\\s*<(\\w+)>([\\s\\S]*?)</\\1>`).exec(plist)?.[2] ?? ''

  it('runs node itself, on a configuration', () => {
    const words = [...after('ProgramArguments').matchAll(/<string>(.*?)<\/string>/g)].map(match => match[1])
    assert.match(words.join(' '), /^\/usr\/local\/bin\/node \S*dist\/cli\/main\.js run -c \S+\.yaml$/)
  })

  it('is named as its file, and given longer to stop than the switch takes', () => {
    assert.equal(after('Label'), 'dev.tapswitch')
    assert.ok(Number(after('ExitTimeOut')) > 10)
  })
})
