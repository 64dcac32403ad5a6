/** Code of a guest's in the forwarding thread, after a fault of ours: what it can do with files. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { landlockVersion } from '#src/os/sandbox/landlock.js'
import { runModule } from '../../support/confined.js'
import { requirements } from '../../support/requires.js'

const linux = requirements({ platform: 'linux' })
const landlock = linux.skip ? linux : { skip: landlockVersion() === 0 && 'needs a kernel with Landlock' }

describe('the forwarding thread', { ...landlock, timeout: 60_000 }, () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-confined-'))
    writeFileSync(join(folder, 'secret'), 'x')
  })
  after(() => rmSync(folder, { recursive: true }))

  it('reads no file of others, makes, changes and runs none, while the main thread goes on as before', () => {
    const worker = `
      import { spawnSync } from 'node:child_process'
      import fs from 'node:fs'
      import { parentPort } from 'node:worker_threads'
      import { confineThread } from '#src/dataplane/confinement.js'
        const said = []
        const attempt = (what, act) => {
          try { act(); said.push(what + ': ok') } catch (error) { said.push(what + ': ' + error.code) }
        }
        said.push('confined: ' + confineThread())
        attempt('read', () => fs.readFileSync('${folder}/secret'))
        attempt('write', () => fs.writeFileSync('${folder}/secret', 'y'))
        attempt('make', () => fs.writeFileSync('${folder}/new', 'y'))
        attempt('remove', () => fs.unlinkSync('${folder}/secret'))
        attempt('run', () => {
          const { error } = spawnSync('/bin/true')
          if (error) throw error
        })
        attempt('look', () => fs.statSync('${folder}/secret'))
        parentPort.postMessage(said)`
    const { status, stdout, stderr } = runModule(`
      import { Worker } from 'node:worker_threads'
      import { once } from 'node:events'
      import fs from 'node:fs'
      const [said] = await once(new Worker(${JSON.stringify(worker)}, { eval: true }), 'message')
      for (const line of said) console.log(line)
      attempt('main reads', () => void fs.readFileSync('${folder}/secret'))
      attempt('main makes', () => void fs.writeFileSync('${folder}/new', ''))
    `)
    assert.equal(status, 0, stderr)
    assert.deepEqual(stdout.trim().split('\n'), [
      'confined: true',
      'read: EACCES',
      'write: EACCES',
      'make: EACCES',
      'remove: EACCES',
      'run: EACCES',
      'look: ok',
      'main reads: ok',
      'main makes: ok',
    ])
  })
})
