import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { accountNumber, numberInAccountFile } from '#src/config/accounts.js'

const passwd = 'root:x:0:0:root:/root:/bin/sh\n# comment\nalice:x:1001:100::/home/alice:/bin/sh\n+::::::\nodd:x:abc:1\n'

describe('numbers of accounts', () => {
  it('are the third field of the line with the name', () => {
    assert.equal(numberInAccountFile(passwd, 'alice'), 1001)
    assert.equal(numberInAccountFile(passwd, 'root'), 0)
  })

  it('are missing for names that only begin alike, and for broken lines', () => {
    assert.deepEqual(
      ['ali', 'alicex', '', '+', 'odd', '# comment'].map(name => numberInAccountFile(passwd, name)),
      [undefined, undefined, undefined, undefined, undefined, undefined],
    )
  })

  it('of root is 0 on every system', () => assert.equal(accountNumber('user', 'root'), 0))

  it('are missing for a name that looks like an option of a tool', () => {
    assert.equal(accountNumber('user', '--version'), undefined)
    assert.equal(accountNumber('group', '--version'), undefined)
  })
})
