import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { resolveTarget } from '#src/cli/client/target.js'
import { OperatorError } from '#src/errors.js'

const folder = mkdtempSync(join(tmpdir(), 'tapswitch-target-'))
after(() => rmSync(folder, { recursive: true }))
const write = (name: string, text: string) => {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}
const config = write('tcp.yaml', 'http: { listen: "127.0.0.1:9999" }')

describe('the switch to talk to', () => {
  it('is where the configuration says that it listens', () => {
    assert.equal(resolveTarget({ config }, {}).url, 'http://127.0.0.1:9999')
    const socket = write('unix.yaml', `runtimeDir: ${folder}\nhttp: { listen: api.sock }`)
    assert.equal(resolveTarget({ config: socket }, {}).url, `unix:${folder}/api.sock`)
  })

  it('is rather the one that an option or the environment names', () => {
    const env = { TAPSWITCH_URL: 'http://[::1]:1/' }
    assert.equal(resolveTarget({ config }, env).url, 'http://[::1]:1')
    assert.equal(resolveTarget({ config, url: 'unix:/run/a.sock' }, env).url, 'unix:/run/a.sock')
  })

  it('cannot be told from a configuration without HTTP, or with a port the system chose', () => {
    for (const text of ['http: false', 'http: { listen: "127.0.0.1:0" }']) {
      assert.throws(() => resolveTarget({ config: write('none.yaml', text) }, {}), OperatorError, text)
    }
  })

  it('has no other kind of address', () => {
    for (const url of ['127.0.0.1:9676', 'ftp://a', 'unix:a.sock', '']) {
      assert.throws(() => resolveTarget({ config, url }, {}), OperatorError, url)
    }
  })
})

describe('the token', () => {
  const file = write('token', 'secret\n')

  it('comes from a file, or from the environment', () => {
    assert.equal(resolveTarget({ config, tokenFile: file }, {}).token, 'secret')
    assert.equal(resolveTarget({ config }, { TAPSWITCH_TOKEN_FILE: file }).token, 'secret')
    assert.equal(resolveTarget({ config }, { TAPSWITCH_TOKEN: 'word' }).token, 'word')
    assert.equal(resolveTarget({ config }, {}).token, undefined)
  })

  it('that cannot be read is a clear error', () => {
    assert.throws(
      () => resolveTarget({ config, tokenFile: join(folder, 'no') }, {}),
      /the token cannot be read from .*ENOENT/,
    )
  })
})
