import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { landlockVersion } from '#src/os/sandbox/landlock.js'
import { projectRoot } from '../../../support/project-root.js'
import { requirements } from '../../../support/requires.js'

const linux = requirements({ platform: 'linux' })
const landlock = linux.skip ? linux : { skip: landlockVersion() === 0 && 'needs a kernel with Landlock' }

/** Reads as often as is enough for each thread of the pool to have its turn, while other reads are under way. */
const program = `
  import { readFile } from 'node:fs/promises'
  import { makeRuleset } from '#src/os/sandbox/landlock.js'
  import { restrictPool } from '#src/os/sandbox/thread-pool.js'
  const ruleset = makeRuleset({ rules: [{ path: '/proc', allow: ['read'] }] })
  const reads = () => Promise.allSettled(Array.from({ length: 64 }, () => readFile('/etc/passwd')))
  const busy = reads()
  const all = await restrictPool(ruleset)
  await busy
  const outcomes = new Set((await reads()).map(({ reason }) => reason?.code ?? 'ok'))
  console.log(JSON.stringify({ all, outcomes: [...outcomes] }))
`

describe('the thread pool', { ...landlock, timeout: 60_000 }, () => {
  for (const size of [undefined, '1', '9']) {
    it(`is restricted, every thread of it, with ${size ?? 'the usual number of'} threads`, () => {
      const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
        cwd: projectRoot,
        encoding: 'utf8',
        timeout: 30_000,
        env: size === undefined ? {} : { UV_THREADPOOL_SIZE: size },
      })
      assert.deepEqual(JSON.parse(stdout || 'null'), { all: true, outcomes: ['EACCES'] }, stderr)
    })
  }

  it('is said not to be, where it has more threads than can be held', () => {
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: projectRoot,
      encoding: 'utf8',
      timeout: 30_000,
      env: { UV_THREADPOOL_SIZE: '100' },
    })
    assert.deepEqual(JSON.parse(stdout), { all: false, outcomes: ['ok'] })
  })
})
