import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { projectRoot } from '../../support/project-root.js'

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8')
const installer = 'scripts/install-debian-packages.sh'
const list = 'scripts/debian-packages.txt'

describe('the list of Debian packages', () => {
  it('is what the installer reads', () => {
    assert.match(read(installer), /"\$\(dirname "\$0"\)\/debian-packages\.txt"/)
  })

  for (const user of ['Dockerfile.dev', '.ci/run']) {
    it(`is what ${user} installs, and all it installs`, () => {
      const commands = read(user).replace(/^\s*#.*$/gm, '')
      assert.ok(commands.includes(installer), `${user} does not call ${installer}`)
      assert.doesNotMatch(commands, /apt(-get)?\s+(-\S+\s+)*install/)
    })
  }

  it('reaches the container before the installer runs', () => {
    assert.match(read('Dockerfile.dev'), new RegExp(`^COPY .*${list}`, 'm'))
  })

  it('names one package a line', () => {
    const names = read(list)
      .replace(/#.*$/gm, '')
      .split('\n')
      .filter(line => line.trim() !== '')
    assert.ok(names.length > 0)
    assert.deepEqual(
      names.filter(name => !/^[a-z0-9][a-z0-9+.-]+$/.test(name)),
      [],
    )
  })
})

describe('.ci/run', () => {
  it('calls the test command of the README with every skip a failure', () => {
    const lines = read('.ci/run').split('\n')
    const noSkips = lines.indexOf('export TAPSWITCH_NO_SKIPS=1')
    const test = lines.findIndex(line => line.startsWith('npm test'))
    assert.ok(noSkips > 0 && test > noSkips, `TAPSWITCH_NO_SKIPS at line ${noSkips + 1}, npm test at line ${test + 1}`)
    assert.match(read('README.md'), /^\s*npm test\b/m)
  })
})
