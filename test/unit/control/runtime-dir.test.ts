import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { ensureRuntimeDir } from '#src/control/runtime-dir.js'
import { OperatorError } from '#src/errors.js'
import { requirements } from '../../support/requires.js'

describe('the runtime directory', () => {
  let folder: string
  let path: string
  const refused = (message: RegExp) => {
    assert.throws(
      () => ensureRuntimeDir(path),
      (error: unknown) => error instanceof OperatorError && error.path === 'runtimeDir' && message.test(error.message),
    )
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
    path = join(folder, 'run')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('is made for us alone, with folders above it, whatever the umask, and removed when it is empty', () => {
    path = join(folder, 'a/b/run')
    const umask = process.umask(0)
    try {
      const undo = ensureRuntimeDir(path)
      assert.equal(statSync(path).mode & 0o777, 0o700)
      undo()
      assert.equal(existsSync(path), false)
    } finally {
      process.umask(umask)
    }
  })

  it('stays when somebody has put something into it', () => {
    const undo = ensureRuntimeDir(path)
    writeFileSync(join(path, 'file'), '')
    undo()
    assert.ok(existsSync(join(path, 'file')))
  })

  it('is used as it is when it is ours, and stays', () => {
    mkdirSync(path, { mode: 0o700 })
    ensureRuntimeDir(path)()
    assert.ok(existsSync(path))
  })

  for (const mode of [0o750, 0o701, 0o777, 0o770]) {
    it(`is refused with mode 0${mode.toString(8)}, and not mended`, () => {
      mkdirSync(path)
      chmodSync(path, mode)
      refused(new RegExp(`has mode 0${mode.toString(8)}, must be 0700`))
      assert.equal(statSync(path).mode & 0o777, mode)
    })
  }

  it('is refused when it belongs to somebody else', requirements({ root: true }), () => {
    mkdirSync(path, { mode: 0o700 })
    chownSync(path, 12345, 12345)
    refused(/belongs to user 12345, must be ours \(user 0\)/)
  })

  it('may belong to the user that an earlier run went on as', requirements({ root: true }), () => {
    mkdirSync(path, { mode: 0o700 })
    chownSync(path, 12345, 12345)
    const undo = ensureRuntimeDir(path, 12345)
    assert.equal(statSync(path).uid, 0, 'root takes it back, so that nothing in it is exchanged')
    undo()
    assert.equal(statSync(path).uid, 12345)
  })

  it('is refused when it is a link, even to a folder of ours', () => {
    mkdirSync(join(folder, 'real'), { mode: 0o700 })
    symlinkSync('real', path)
    refused(/is not a directory/)
  })

  it('is refused when it is a file, or cannot be made', () => {
    writeFileSync(path, '')
    refused(/is not a directory/)
    path = join(path, 'below')
    refused(/cannot make/)
  })
})
