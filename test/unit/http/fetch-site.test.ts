import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isFromOtherSite } from '#src/http/fetch-site.js'

const browser = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)' }

describe('a request that a browser makes for another site', () => {
  for (const site of ['cross-site', 'same-site', 'a-new-word']) {
    it(`is told by Sec-Fetch-Site: ${site}`, () => {
      const headers = { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
      assert.ok(isFromOtherSite(headers, 'data'))
      assert.ok(isFromOtherSite(headers, 'effect'))
      assert.ok(!isFromOtherSite(headers, 'page'), 'a link to a page')
      assert.ok(isFromOtherSite({ ...headers, 'sec-fetch-dest': 'iframe' }, 'page'), 'a frame')
      assert.ok(isFromOtherSite({ ...headers, 'sec-fetch-mode': 'no-cors' }, 'page'))
    })
  }

  it('is not one of our own page, nor one that a person typed, nor one of a program', () => {
    for (const site of ['same-origin', 'none']) {
      for (const use of ['page', 'effect', 'data'] as const) {
        assert.ok(!isFromOtherSite({ ...browser, 'sec-fetch-site': site }, use), `${site} ${use}`)
      }
    }
    assert.ok(!isFromOtherSite({ 'user-agent': 'curl/8.5.0' }, 'effect'))
  })

  it('with an effect needs a bearer token from a browser that does not tell', () => {
    assert.ok(isFromOtherSite(browser, 'effect'))
    assert.ok(isFromOtherSite({ ...browser, authorization: 'Basic eDp5' }, 'effect'), 'sent with a navigation, too')
    assert.ok(!isFromOtherSite({ ...browser, authorization: 'Bearer x' }, 'effect'))
    assert.ok(!isFromOtherSite(browser, 'data'))
  })
})
