import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { wordsOf } from '#src/page/trouble.js'

const problem = (status: number, code: string) =>
  new Response(JSON.stringify({ status, code, detail: 'So it is.' }), {
    status,
    headers: { 'content-type': 'application/problem+json' },
  })
const foreign = (status: number) => new Response('<h1>proxy</h1>', { status, headers: { 'content-type': 'text/html' } })

describe('what the page says of an answer it did not want', () => {
  for (const [status, code, advice] of [
    [421, 'wrong-host', /"switch\.example" to http\.allowedHosts/],
    [403, 'wrong-origin', /pass on the Host header "switch\.example:8443"/],
    [403, 'wrong-site', /in a window of its own/],
    [401, 'token-missing', /the browser asks for a token/],
    [429, 'too-many-failures', /Wait a minute/],
    [503, 'too-many-readers', /Close other pages/],
  ] as const) {
    it(`of the switch: ${code}`, async () => {
      const words = await wordsOf(problem(status, code), 'switch.example:8443')
      assert.match(words, /^So it is\. /)
      assert.match(words, advice)
    })
  }

  it('of the switch: the detail alone where that says it all', async () => {
    assert.equal(await wordsOf(problem(404, 'no-such-port'), 'localhost'), 'So it is.')
  })

  for (const [status, words] of [
    [502, /does not reach the switch/],
    [503, /does not reach the switch/],
    [403, /refuses this page, with status 403/],
    [404, /must pass on every path/],
    [200, /is not the switch but a proxy/],
  ] as const) {
    it(`of a proxy: ${status}`, async () => assert.match(await wordsOf(foreign(status), 'localhost'), words))
  }

  it('of a server that only claims to have a problem', async () => {
    const half = new Response('{', { status: 500, headers: { 'content-type': 'application/problem+json' } })
    assert.match(await wordsOf(half, 'localhost'), /status 500, is not the switch/)
  })
})
