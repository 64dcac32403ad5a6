import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { resolveTarget } from '#src/cli/client/target.js'
import { OperatorError } from '#src/errors.js'
import { ensureControlToken } from '#src/http/control-token.js'

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

describe('an address with more in it', () => {
  it('keeps its path, and is refused with a password or a query, which are not repeated', () => {
    assert.equal(resolveTarget({ config, url: 'https://proxy.example/lab/' }, {}).url, 'https://proxy.example/lab')
    for (const url of [
      'http://me:hunter2@127.0.0.1:9676',
      'http://127.0.0.1/?token=hunter2',
      'me:hunter2@127.0.0.1',
      'ftp://me:hunter2@a',
    ]) {
      assert.throws(
        () => resolveTarget({ config, url }, {}),
        (error: Error) => error instanceof OperatorError && !error.message.includes('hunter2'),
        url,
      )
    }
  })
})

describe('the token', () => {
  it('of the local switch is found in its runtime directory, and goes to no other address', () => {
    const own = write('own.yaml', `runtimeDir: ${folder}\nhttp: { listen: "127.0.0.1:9999" }`)
    const { token } = ensureControlToken(folder)
    assert.equal(resolveTarget({ config: own }, {}).token, token)
    assert.equal(resolveTarget({ config: own, url: 'http://127.0.0.1:9999/' }, {}).token, token)
    assert.equal(resolveTarget({ config: own }, { TAPSWITCH_TOKEN: 'mine' }).token, 'mine')
    for (const url of [
      'http://127.0.0.1:9998',
      'http://127.0.0.1:9999/lab',
      'http://evil.example:9999',
      'https://127.0.0.1:9999',
    ]) {
      assert.equal(resolveTarget({ config: own, url }, {}).token, undefined, url)
    }
  })

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
