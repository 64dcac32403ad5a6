import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { findCommand, findFile, requirements } from '../../support/requires.js'

describe('requirements', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tapswitch-requires-'))
  after(() => rmSync(folder, { recursive: true }))

  it('skips nothing where everything is there', () => {
    const needs = { platform: process.platform, commands: ['sh'], files: [{ path: process.execPath, from: 'nodejs' }] }
    assert.deepEqual(requirements(needs), { skip: false })
  })

  it('names everything that is missing and the package that has it', () => {
    const needs = {
      commands: ['sh', 'no-such-command'],
      files: [{ path: join(folder, 'vmlinuz-*'), from: 'linux-image' }],
    }
    assert.deepEqual(requirements(needs), {
      skip: `needs no-such-command (Debian package no-such-command); ${folder}/vmlinuz-* (Debian package linux-image)`,
    })
  })

  it('names another platform', () => {
    assert.deepEqual(requirements({ platform: 'aix' }), { skip: `needs aix, this is ${process.platform}` })
  })

  it('asks for root only where this is not root', () => {
    assert.deepEqual(requirements({ root: true }), { skip: process.getuid?.() === 0 ? false : 'needs root' })
  })

  it('takes the last of several files', () => {
    for (const version of ['6.1.0-55', '6.1.0-56']) writeFileSync(join(folder, `kernel-${version}-cloud`), '')
    assert.equal(findFile(join(folder, 'kernel-*-cloud')), join(folder, 'kernel-6.1.0-56-cloud'))
    assert.equal(findFile(join(folder, 'kernel-*-other')), undefined)
  })

  it('finds a command where PATH has it', () => {
    assert.match(findCommand('sh') ?? '', /\/sh$/)
  })
})
