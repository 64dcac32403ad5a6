import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import koffi from 'koffi'
import { candidates, configVersionOf, knownFaults, loadSlirp, slirpConfig } from '#src/slirp/library.js'
import { callbackNames } from '#src/slirp/shared-state.js'
import { requirements } from '../../support/requires.js'
import { slirpNeeds } from '../../support/slirp-guest.js'

const headers = requirements({
  commands: ['cc'],
  files: [{ path: '/usr/include/slirp/libslirp.h', from: 'libslirp-dev' }],
})

describe('the structures of libslirp', headers, () => {
  it('have their members where the C header puts them', () => {
    const members = Object.keys(slirpConfig.members ?? {})
    const lines = [
      ...members.map(member => `printf("${member} %zu\\n", offsetof(SlirpConfig, ${member}));`),
      'printf("config %zu\\n", sizeof(SlirpConfig));',
      ...callbackNames.map(name => `printf("${name} %zu\\n", offsetof(SlirpCb, ${name}));`),
      'printf("callbacks %zu\\n", sizeof(SlirpCb));',
    ]
    const expected = [
      ...members.map(member => `${member} ${koffi.offsetof(slirpConfig, member)}`),
      `config ${koffi.sizeof(slirpConfig)}`,
      ...callbackNames.map((name, i) => `${name} ${i * 8}`),
      `callbacks ${callbackNames.length * 8}`,
    ]
    assert.deepEqual(runC(lines), expected)
  })
})

describe('libslirp', () => {
  it('is asked for what it knows: the configuration grew with its releases', () => {
    const releases = ['4.0.0', '4.1.0', '4.2.0', '4.3.1', '4.6.1', '4.7.0', '4.8.0', '4.10.1', '5.0.0']
    assert.deepEqual(releases.map(configVersionOf), [undefined, 1, 2, 3, 3, 4, 4, 4, 4])
  })

  it('is looked for where Homebrew and MacPorts put it, too', () => {
    assert.deepEqual(candidates('linux', undefined), ['libslirp.so.0'])
    assert.ok(candidates('darwin', undefined).includes('/opt/homebrew/lib/libslirp.0.dylib'))
    assert.deepEqual(candidates('linux', '/opt/lib/libslirp.so.0'), ['/opt/lib/libslirp.so.0'])
  })

  it('has known faults by release', () => {
    assert.match(knownFaults('4.4.0') as string, /^CVE-2021-3592 to 3595, CVE-2026-9539$/)
    assert.match(knownFaults('4.7.0') as string, /^CVE-2026-9539, .*fragments$/)
    assert.equal(knownFaults('4.8.0'), 'CVE-2026-9539')
    assert.equal(knownFaults('4.9.1'), 'CVE-2026-9539')
    for (const release of ['4.9.2', '4.10.0', '5.0.0', '4.9.3-dirty']) assert.equal(knownFaults(release), null)
  })

  it('says which release it is', slirpNeeds(), () => {
    const { version, configVersion } = loadSlirp()
    assert.match(version, /^\d+\.\d+\.\d+/)
    assert.equal(configVersion, configVersionOf(version))
  })
})

function runC(lines: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'tapswitch-slirp-'))
  try {
    const source = ['#include <slirp/libslirp.h>', '#include <stddef.h>', '#include <stdio.h>', 'int main(void) {']
    writeFileSync(join(folder, 'layout.c'), [...source, ...lines, 'return 0; }', ''].join('\n'))
    execFileSync('cc', ['-o', join(folder, 'layout'), join(folder, 'layout.c')])
    return execFileSync(join(folder, 'layout'), { encoding: 'utf8' }).trim().split('\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
}
