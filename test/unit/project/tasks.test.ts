import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { projectRoot } from '../../support/project-root.js'

/** A small project that has the real scripts and packages, and sources of its own. */
const folder = mkdtempSync(join(tmpdir(), 'tapswitch-tasks-'))

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}

function task(args: string[], env: NodeJS.ProcessEnv = {}) {
  // A runner started by a test would take this variable for a sign that it is a test file itself.
  const { NODE_TEST_CONTEXT: _, TAPSWITCH_NO_SKIPS: __, ...inherited } = process.env
  // The packages are the project's own, through a link: no task here may install anything.
  const noNpm = { npm_execpath: join(folder, 'no-npm.js') }
  const command = [join(folder, 'scripts/task.mjs'), ...args]
  return spawnSync(process.execPath, command, {
    env: { ...inherited, ...noNpm, ...env },
    encoding: 'utf8',
    timeout: 60_000,
  })
}

before(() => {
  for (const path of ['scripts', 'package.json', 'package-lock.json', 'tsconfig.base.json'])
    cpSync(join(projectRoot, path), join(folder, path), { recursive: true })
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'))
  for (const name of ['src', 'src/page', 'test', 'bench'])
    cpSync(join(projectRoot, name, 'tsconfig.json'), join(folder, name, 'tsconfig.json'), { recursive: true })

  write('src/kept.ts', 'export const kept = 1\n')
  write('src/page/shown.ts', 'export const shown = 1\n')
  write('src/removed.ts', 'export const removed = 1\n')
  write('test/unit/passes.test.ts', "import { test } from 'node:test'\ntest('fine', () => {})\n")
  write(
    'test/unit/skips.test.ts',
    "import { test } from 'node:test'\ntest('apart', { skip: 'needs luck' }, () => {})\n",
  )
  write('test/macos/mac.test.ts', "import { test } from 'node:test'\ntest('on a Mac', () => {})\n")
  write('test/system/late.test.ts', "import { test } from 'node:test'\ntest('one at a time', () => {})\n")
})

after(() => rmSync(folder, { recursive: true }))

describe('the test task', () => {
  it('runs the files of every folder and closes with one summary', () => {
    const { status, stdout, stderr } = task(['test'])
    assert.equal(status, 0, stdout + stderr)
    assert.match(stdout, /fine[\s\S]*one at a time/)
    assert.deepEqual(
      stdout.match(/^ℹ (tests|pass|skipped) \d+$/gm),
      process.platform === 'darwin'
        ? ['ℹ tests 4', 'ℹ pass 3', 'ℹ skipped 1']
        : ['ℹ tests 3', 'ℹ pass 2', 'ℹ skipped 1'],
    )
  })

  it('fails on a skipped test where skips are refused, and gives its reason', () => {
    const { status, stderr } = task(['test'], { TAPSWITCH_NO_SKIPS: '1' })
    assert.equal(status, 1)
    assert.match(stderr, /unit\/skips\.test\.[jt]s: apart: needs luck/)
  })

  it('keeps the files whose path contains an argument, and refuses one that fits none', () => {
    assert.match(task(['test', 'passes']).stdout, /^ℹ tests 1$/m)
    const { status, stderr } = task(['test', 'no-such-test'])
    assert.equal(status, 1)
    assert.match(stderr, /no test file's path contains no-such-test/)
  })

  it('runs what only a Mac can show on a Mac, and says so elsewhere', () => {
    const { status, stdout, stderr } = task(['test:macos', 'mac'])
    if (process.platform === 'darwin') assert.match(stdout, /on a Mac/)
    else assert.match(`${status} ${stderr}`, /^1 test:macos needs macOS, this is linux$/m)
    assert.equal(task(['test', 'macos']).status, process.platform === 'darwin' ? 0 : 1)
  })

  it('fails when a test fails', () => {
    write('test/unit/fails.test.ts', "import { test } from 'node:test'\ntest('bad', () => { throw new Error('no') })\n")
    assert.equal(task(['test', 'fails']).status, 1)
    rmSync(join(folder, 'test/unit/fails.test.ts'))
  })
})

describe('the build task', () => {
  it('makes again what was removed from dist', () => {
    task(['build'])
    rmSync(join(folder, 'dist/kept.js'))
    assert.equal(task(['build']).status, 0)
    assert.ok(existsSync(join(folder, 'dist/kept.js')))
  })

  it('removes from dist what has no source any more', () => {
    rmSync(join(folder, 'src/removed.ts'))
    write('dist/notes.txt', 'not made by the compiler')
    assert.equal(task(['build']).status, 0)
    assert.ok(!existsSync(join(folder, 'dist/removed.js')) && !existsSync(join(folder, 'dist/removed.d.ts')))
    assert.ok(existsSync(join(folder, 'dist/kept.js')) && existsSync(join(folder, 'dist/notes.txt')))
  })

  it('fails on a source that does not compile', () => {
    write('src/wrong.ts', "export const wrong: number = 'text'\n")
    const { status, stderr } = task(['build'])
    assert.equal(status, 1)
    assert.match(stderr, /src\/wrong\.ts/)
  })
})

it('a task that is unknown ends with the list of tasks and status 2', () => {
  const { status, stderr } = task(['tset'])
  assert.equal(status, 2)
  assert.match(stderr, /test:quick/)
})
