import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { Sessions } from '#src/http/sessions.js'

const MINUTE = 60_000

describe('a code for the page', () => {
  let now: number
  let sessions: Sessions
  beforeEach(() => {
    now = 1_000_000
    sessions = new Sessions(() => now)
  })

  it('is exchanged for the token of a session with control, once', () => {
    const { secret: code } = sessions.issueCode()
    const session = sessions.exchange(code)
    assert.deepEqual(sessions.identify(session?.secret ?? ''), { name: 'page', role: 'control' })
    assert.equal(sessions.exchange(code), undefined)
    assert.equal(sessions.identify(code), undefined, 'a code is no token')
  })

  it('is good for ten minutes, its session for twelve hours', () => {
    const late = sessions.issueCode()
    assert.equal(late.expires, now + 10 * MINUTE)
    now += 10 * MINUTE
    assert.equal(sessions.exchange(late.secret), undefined)
    const { secret } = sessions.exchange(sessions.issueCode().secret) as { secret: string }
    now += 12 * 60 * MINUTE - 1
    assert.ok(sessions.identify(secret))
    now += 1
    assert.equal(sessions.identify(secret), undefined)
  })

  it('and a session make way for later ones, so that there are never many', () => {
    const codes = Array.from({ length: 20 }, () => sessions.issueCode().secret)
    assert.deepEqual(
      codes.map(code => sessions.exchange(code) !== undefined),
      codes.map((_, i) => i >= 12),
    )
    const tokens = Array.from({ length: 40 }, () => sessions.exchange(sessions.issueCode().secret)?.secret ?? '')
    assert.equal(tokens.filter(token => sessions.identify(token)).length, 32)
    assert.ok(sessions.identify(tokens.at(-1) ?? ''))
  })

  it('that was never made opens nothing', () => {
    for (const wrong of ['', 'x', 'A'.repeat(22)]) assert.equal(sessions.exchange(wrong), undefined)
  })
})
