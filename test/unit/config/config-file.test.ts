import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { ConfigFile } from '#src/config/config-file.js'
import { requirements } from '../../support/requires.js'

const folder = mkdtempSync(join(tmpdir(), 'tapswitch-file-'))
after(() => rmSync(folder, { recursive: true }))

const before = 'switch: { name: before }\n'
const next = 'switch: { name: after }\n'

describe('a configuration file that is written', () => {
  it('keeps its mode, its link and, under another name, the text before', () => {
    const path = join(folder, 'real.yaml')
    const link = join(folder, 'link.yaml')
    writeFileSync(path, before)
    chmodSync(path, 0o640)
    symlinkSync('real.yaml', link)
    const file = new ConfigFile(link)
    assert.equal(file.load().switch.name, 'before')
    file.replace(next)
    assert.equal(readFileSync(path, 'utf8'), next)
    assert.equal(readFileSync(`${path}~`, 'utf8'), before)
    assert.equal(statSync(path).mode & 0o777, 0o640)
    assert.equal(file.unchangedText(), next)
    file.replace(before)
    assert.equal(readFileSync(`${path}~`, 'utf8'), next)
    assert.deepEqual(readdirSync(folder).sort(), ['link.yaml', 'real.yaml', 'real.yaml~'])
  })
})

describe('a configuration file on a disk that is nearly full', requirements({ root: true, platform: 'linux' }), () => {
  const disk = mkdtempSync(join(tmpdir(), 'tapswitch-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tapswitch-test', disk])
  after(() => {
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true })
  })

  it('stays as it was, and can be written once there is room', () => {
    const path = join(disk, 'switch.yaml')
    writeFileSync(path, before)
    const file = new ConfigFile(path)
    file.load()
    // One page is left: the first part of the text fits, the rest does not.
    const long = `${next}# ${'x'.repeat(3 * 4096)}\n`
    writeFileSync(join(disk, 'filler'), 'x'.repeat(64 * 1024 - 2 * 4096))
    assert.throws(() => file.replace(long), /cannot be written: ENOSPC/)
    assert.equal(readFileSync(path, 'utf8'), before)
    assert.deepEqual(readdirSync(disk).sort(), ['filler', 'switch.yaml'])
    assert.equal(file.unchangedText(), before)
    rmSync(join(disk, 'filler'))
    file.replace(long)
    assert.equal(readFileSync(path, 'utf8'), long)
  })
})
