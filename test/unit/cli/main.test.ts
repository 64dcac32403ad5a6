import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { projectRoot } from '../../support/project-root.js'

interface Result {
  code: number
  stdout: string
  stderr: string
}

const directory = mkdtempSync(join(tmpdir(), 'tapswitch-cli-'))
const env = { ...process.env, XDG_RUNTIME_DIR: directory }
after(() => rmSync(directory, { recursive: true }))

function tapswitch(...args: string[]): Promise<Result> {
  return new Promise(resolve => {
    const command = [join(projectRoot, 'dist/cli/main.js'), ...args]
    execFile(process.execPath, command, { env, timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

function file(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

describe('tapswitch', () => {
  it('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'))
    assert.deepEqual(await tapswitch('--version'), { code: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('prints help with the default of each option', async () => {
    const { code, stdout } = await tapswitch('run', '--help')
    assert.equal(code, 0)
    assert.match(stdout, /-c, --config <file>[\s\S]*\(default:\s+"\S*config\/default\.yaml"\)/)
  })

  it('ends with 2 on wrong usage', async () => {
    for (const args of [[], ['fly'], ['check', '--fast'], ['check', '-c'], ['check', 'a', 'b']]) {
      const { code, stdout, stderr } = await tapswitch(...args)
      assert.deepEqual([code, stdout], [2, ''], args.join(' '))
      assert.notEqual(stderr, '')
    }
  })

  it('prints the JSON Schema', async () => {
    const { code, stdout } = await tapswitch('schema')
    assert.deepEqual([code, JSON.parse(stdout).title], [0, 'tapswitch configuration'])
  })
})

describe('tapswitch check', () => {
  it('says in one line that a configuration is valid', async () => {
    const path = file('good.yaml', 'transports: [{ name: vms, type: unixgram, listen: vms.sock }]')
    const stdout = `OK: ${path}: transports: vms (unixgram); HTTP at 127.0.0.1:9676; sockets in ${directory}/tapswitch\n`
    assert.deepEqual(await tapswitch('check', '-c', path), { code: 0, stdout, stderr: '' })
  })

  it('takes the configuration of the package when no file is named', async () => {
    const { code, stdout } = await tapswitch('check')
    assert.equal(code, 0)
    assert.ok(stdout.startsWith(`OK: ${join(projectRoot, 'config/default.yaml')}: transports: vms`))
  })

  it('ends with 2 and one line for each error', async () => {
    const path = file('bad.yaml', 'swich: {}\nlog: { level: loud }')
    assert.deepEqual(await tapswitch('check', '-c', path), {
      code: 2,
      stdout: '',
      stderr:
        'log.level: "loud" is not one of "debug", "info", "warn", "error", "silent"\n' +
        'swich: unknown option, did you mean switch?\n',
    })
  })

  it('ends with 2 when there is no such file', async () => {
    const path = join(directory, 'missing.yaml')
    assert.deepEqual(await tapswitch('check', '-c', path), { code: 2, stdout: '', stderr: `${path}: no such file\n` })
  })
})

describe('tapswitch doctor', () => {
  it('prints findings as JSON', async () => {
    const path = file('doctor.yaml', 'log: {}')
    const { code, stdout } = await tapswitch('doctor', '--json', '-c', path)
    const names = JSON.parse(stdout).findings.map(({ name }: { name: string }) => name)
    assert.equal(code, 0)
    assert.deepEqual(names.slice(0, 4), ['configuration', 'platform', 'node', 'native library'])
  })

  it('ends with 1 when the configuration is not valid', async () => {
    const { code, stdout } = await tapswitch('doctor', '-c', file('bad.yaml', 'swich: 1'))
    assert.equal(code, 1)
    assert.match(stdout, /^fail {2}configuration {7}swich: unknown option, did you mean switch\?$/m)
  })
})

it('none of these commands made a file', async () => {
  assert.deepEqual(
    readdirSync(directory).filter(name => !name.endsWith('.yaml')),
    [],
  )
})
