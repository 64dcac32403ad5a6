/** The units of systemd and the property list of launchd, as far as they can be looked at without either. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { projectRoot } from '../../support/project-root.js'
import { requirements } from '../../support/requires.js'

const config = (name: string) => join(projectRoot, 'config', name)
const systemd = requirements({ platform: 'linux', commands: ['systemd-analyze'] })
/** 0 is the strictest, 10 no restriction at all. */
const MOST_EXPOSED = 2.5

describe('the unit of systemd', { ...systemd, timeout: 60_000 }, () => {
  let folder: string

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-units-'))
    // The program and the project are elsewhere on this machine.
    const unit = readFileSync(config('tapswitch.service'), 'utf8')
      .replace('/usr/bin/node', process.execPath)
      .replace('/opt/tapswitch', projectRoot)
    writeFileSync(join(folder, 'tapswitch.service'), unit)
    cpSync(config('tapswitch.socket'), join(folder, 'tapswitch.socket'))
  })
  after(() => rmSync(folder, { recursive: true }))

  const verify = () =>
    spawnSync('systemd-analyze', ['verify', './tapswitch.service', './tapswitch.socket'], {
      cwd: folder,
      encoding: 'utf8',
    })
  const exposure = () => {
    const report = execFileSync('systemd-analyze', ['security', '--offline=true', './tapswitch.service'], {
      cwd: folder,
      encoding: 'utf8',
    })
    return Number(/Overall exposure level for \S+: ([\d.]+)/.exec(report)?.[1])
  }
  const claimed = (name: string) => Number(/scores .* at (\d+\.\d+)/.exec(readFileSync(config(name), 'utf8'))?.[1])

  it('is valid, and as strict as it says', () => {
    const { status, stderr } = verify()
    assert.deepEqual([status, stderr], [0, ''])
    const score = exposure()
    assert.ok(score <= MOST_EXPOSED, `exposure ${score}`)
    assert.equal(score, claimed('tapswitch.service'))
  })

  it('is so with the drop-in for TAPs, too', () => {
    mkdirSync(join(folder, 'tapswitch.service.d'))
    cpSync(config('tapswitch-tap.conf'), join(folder, 'tapswitch.service.d/tap.conf'))
    const { status, stderr } = verify()
    assert.deepEqual([status, stderr], [0, ''])
    const score = exposure()
    assert.ok(score <= MOST_EXPOSED, `exposure ${score}`)
    assert.equal(score, claimed('tapswitch-tap.conf'))
  })

  it('keeps the records of a crash for the next start, and lets the configuration be saved', () => {
    const unit = readFileSync(config('tapswitch.service'), 'utf8')
    assert.match(unit, /^RuntimeDirectoryPreserve=restart$/m)
    const [, file] = /^ExecStart=.* -c (\S+)$/m.exec(unit) ?? []
    assert.ok(file?.startsWith('/etc/tapswitch/'))
    assert.match(unit, /^ReadWritePaths=-\/etc\/tapswitch$/m)
  })
})

describe('the property list of launchd', () => {
  const text = readFileSync(config('dev.tapswitch.plist'), 'utf8').replace(/<!--[\s\S]*?-->/g, '')
  const valueFor = (key: string) => new RegExp(`<key>${key}</key>\\s*<(\\w+)(?:>([^<]*)</\\1>|/>)`).exec(text)

  it('closes what the daemon makes to other users, and bounds it', () => {
    // Property lists have no octal numbers: 63 is 077.
    assert.equal(Number(valueFor('Umask')?.[2]), 0o077)
    for (const key of ['SoftResourceLimits', 'HardResourceLimits']) assert.match(text, new RegExp(`<key>${key}</key>`))
    assert.equal(valueFor('Core')?.[2], '0')
    assert.equal(valueFor('SessionCreate')?.[1], 'false')
    assert.equal(valueFor('AbandonProcessGroup')?.[1], 'false')
  })

  it('nests well', () => {
    const open: string[] = []
    for (const [, closing, name, empty] of text.matchAll(/<(\/?)(\w+)[^<>]*?(\/?)>/g)) {
      if (closing === '/') assert.equal(open.pop(), name)
      else if (empty !== '/') open.push(name as string)
    }
    assert.deepEqual(open, [])
  })
})
