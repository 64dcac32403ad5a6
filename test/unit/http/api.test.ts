import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { PortField } from '#src/dataplane/shared-memory.js'
import * as schemas from '#src/http/schemas.js'
import type { HttpServer } from '#src/http/server.js'
import { type Answer, ask, askRaw } from './client.js'
import { type FakeView, fakeEntry, fakeView, recordingLog, serve } from './fake-view.js'

const directory = mkdtempSync(join(tmpdir(), 'tapswitch-http-'))
after(() => rmSync(directory, { recursive: true }))

function assertProblem(answer: Answer, status: number, code: string, detail: RegExp): void {
  assert.equal(answer.status, status, answer.body)
  assert.equal(answer.headers['content-type'], 'application/problem+json')
  const problem = schemas.problemSchema.strict().parse(JSON.parse(answer.body))
  assert.equal(problem.status, status)
  assert.equal(problem.code, code)
  assert.match(problem.detail, detail)
}

for (const kind of ['TCP', 'a unix socket'] as const) {
  describe(`the API over ${kind}`, () => {
    let view: FakeView
    let server: HttpServer
    const log = recordingLog()
    const get = (path: string, headers = {}) => ask(server.url, path, { headers })
    const json = async (path: string) => {
      const answer = await get(path)
      assert.equal(answer.status, 200, answer.body)
      assert.match(answer.headers['content-type'] ?? '', /^application\/json/)
      return JSON.parse(answer.body)
    }

    before(async () => {
      view = fakeView()
      server = await serve(view, kind === 'TCP' ? '127.0.0.1:0' : join(directory, 'api.sock'), log)
    })
    after(() => server.close())

    it('answers probes in a word', async () => {
      for (const path of ['/healthz', '/readyz']) {
        const answer = await get(path)
        assert.equal(answer.status, 200)
        assert.equal(answer.body, 'ok')
        assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
      }
    })

    it('says what is wrong when it is not well or not ready', async () => {
      view.isReady = false
      assertProblem(await get('/readyz'), 503, 'not-ready', /still starting/)
      assert.equal((await get('/healthz')).status, 200)
      view.troubled = 'The data plane has not turned for 3 s.'
      assertProblem(await get('/healthz'), 503, 'unhealthy', /^The data plane has not turned for 3 s\.$/)
      assertProblem(await get('/readyz'), 503, 'not-ready', /has not turned/)
      view.isReady = true
      view.troubled = undefined
    })

    it('is ready, but degraded, while one transport has failed, and says which', async () => {
      view.failure = 'the data plane found a fault'
      const answer = await get('/readyz')
      assert.deepEqual([answer.status, answer.body], [200, 'degraded\nvms: the data plane found a fault'])
      view.isReady = false
      assertProblem(await get('/readyz'), 503, 'not-ready', /^vms: the data plane found a fault$/)
      view.isReady = true
      view.failure = null
    })

    it('refuses a name for a port that could be that of another one, or is none', async () => {
      for (const name of ['vms:9', 'a:', ':', 'A', '', 'a b', 'a/b', `a${'b'.repeat(63)}`]) {
        const answer = await ask(server.url, '/v1/ports/1', {
          method: 'PATCH',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ name }),
        })
        assertProblem(answer, 400, 'invalid-request', /^name: .*lower-case letters/)
      }
    })

    it('shows the switch, its ports and its transports as the view has them', async () => {
      view.counters.cells[view.counters.portRow(1) + PortField.receiveFrames] = 7
      assert.deepEqual(await json('/v1/switch'), view.info())
      assert.deepEqual(await json('/v1/ports'), { ports: view.ports() })
      assert.deepEqual(await json('/v1/transports'), { transports: view.transports() })
      assert.deepEqual(await json('/v1/ports/2'), view.port(2))
      const port = await json('/v1/ports/1')
      assert.equal(port.counters.receiveFrames, 7)
      assert.equal(port.peer, '/tmp/a.sock')
    })

    it('tells an unknown port from a malformed id', async () => {
      assertProblem(await get('/v1/ports/99'), 404, 'no-such-port', /no port with id 99/)
      for (const id of ['vms:1', '-1', '1.5', '1e0', '99999999999', '%20']) {
        assertProblem(await get(`/v1/ports/${id}`), 400, 'invalid-request', /^id: /)
      }
    })

    it('sorts the FDB and filters it by port id, port name and address', async () => {
      const [one, two, three] = [fakeEntry(1, 1), fakeEntry(2, 1), fakeEntry(3, 2)]
      assert.deepEqual(await json('/v1/fdb'), { total: 3, limit: 1000, offset: 0, entries: [one, two, three] })
      assert.deepEqual((await json('/v1/fdb?port=1')).entries, [one, two])
      assert.deepEqual((await json('/v1/fdb?port=vms:2')).entries, [three])
      assert.deepEqual((await json('/v1/fdb?port=7')).entries, [])
      assert.deepEqual((await json('/v1/fdb?mac=52-54-00-00-00-02')).entries, [two])
      assert.deepEqual((await json('/v1/fdb?mac=52:54:00:00:00:02&port=2')).entries, [])
    })

    it('pages through the FDB, every entry once', async () => {
      view.entries = Array.from({ length: 2500 }, (_, i) => fakeEntry((i * 7) % 2500, 1))
      assert.equal((await json('/v1/fdb')).entries.length, 1000)
      assert.equal((await json('/v1/fdb?limit=10000')).entries.length, 2500)
      const seen: string[] = []
      for (let offset = 0; offset < 2500; offset += 700) {
        const page = await json(`/v1/fdb?limit=700&offset=${offset}`)
        assert.equal(page.total, 2500)
        assert.equal(page.offset, offset)
        seen.push(...page.entries.map(({ mac }: { mac: string }) => mac))
      }
      assert.equal(new Set(seen).size, 2500)
      assert.deepEqual(seen, [...seen].sort())
      assert.deepEqual((await json('/v1/fdb?offset=2500')).entries, [])
    })

    it('refuses parameters it does not know or cannot read, each with its place', async () => {
      for (const query of [
        'limit=0',
        'limit=10001',
        'limit=',
        'limit=0x10',
        'limit=1&limit=2',
        'offset=-1',
        'mac=52:54',
        'mac=',
        'port=',
      ]) {
        assertProblem(await get(`/v1/fdb?${query}`), 400, 'invalid-request', /^(limit|offset|mac|port): /)
      }
      assertProblem(await get('/v1/switch?verbose=1'), 400, 'invalid-request', /verbose/)
      const { errors } = JSON.parse((await get('/v1/fdb?limit=x&offset=y')).body)
      assert.deepEqual(
        errors.map((error: { in: string; path: string }) => [error.in, error.path]),
        [
          ['query', 'limit'],
          ['query', 'offset'],
        ],
      )
    })

    it('answers 404 for what is not there, whatever is sent along', async () => {
      for (const path of [
        '/page/',
        '/page/../package.json',
        '/page/%2e%2e/main.js',
        '/v1',
        '/v1/ports/1/x',
        '/V1/ports',
        '/metrics//',
        '/__proto__',
        '/v2/fdb?x=1',
      ]) {
        assertProblem(await get(path), 404, 'not-found', /There is nothing at /)
      }
      const posted = await ask(server.url, '/nope', {
        method: 'POST',
        headers: { 'content-type': 'text/xml' },
        body: '<x/>',
      })
      assertProblem(posted, 404, 'not-found', /\/nope/)
      assertProblem(await get('/v1/ports/%zz'), 400, 'bad-request', /url/i)
    })

    it('answers 405 with Allow where only the method is wrong', async () => {
      const allowed = {
        '/metrics': 'GET, HEAD',
        '/healthz': 'GET, HEAD',
        '/v1/switch': 'GET, HEAD, PATCH',
        '/v1/ports': 'GET, HEAD',
        '/v1/ports/1': 'DELETE, GET, HEAD, PATCH',
        '/v1/transports': 'GET, HEAD, POST',
        '/v1/interfaces/uplink/forwards': 'DELETE, GET, HEAD, POST',
        '/v1/fdb?limit=1': 'GET, HEAD, POST',
        '/v1/config/save': 'POST',
        '/v1/events': 'GET',
      }
      for (const [path, allow] of Object.entries(allowed)) {
        for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
          if (allow.includes(method)) continue
          const answer = await ask(server.url, path, {
            method,
            headers: { 'content-type': 'text/xml', 'content-length': '0' },
          })
          assertProblem(answer, 405, 'method-not-allowed', new RegExp(`has no ${method}, only ${allow}\\.`))
          assert.equal(answer.headers.allow, allow)
        }
      }
    })

    it('answers HEAD with the headers of GET and no body', async () => {
      for (const path of [
        '/metrics',
        '/healthz',
        '/readyz',
        '/v1/switch',
        '/v1/ports',
        '/v1/ports/1',
        '/v1/transports',
        '/v1/fdb',
      ]) {
        const head = await ask(server.url, path, { method: 'HEAD' })
        const full = await get(path)
        assert.equal(head.status, 200, path)
        assert.equal(head.body, '')
        assert.equal(head.headers['content-type'], full.headers['content-type'])
        assert.ok(Number(head.headers['content-length']) > 0)
      }
      assert.equal((await ask(server.url, '/v1/ports/99', { method: 'HEAD' })).status, 404)
    })

    it('refuses another Host with 421 and another Origin with 403, on every path', async () => {
      for (const path of ['/metrics', '/healthz', '/v1/fdb', '/nope', '/v1/ports/%zz']) {
        assertProblem(await get(path, { host: 'evil.example:9676' }), 421, 'wrong-host', /Host/)
        assertProblem(
          await get(path, { host: 'localhost', origin: 'http://evil.example' }),
          403,
          'wrong-origin',
          /origin/,
        )
      }
      assert.equal((await get('/healthz', { host: 'localhost:9676', origin: 'http://localhost:9676' })).status, 200)
    })

    it('sends its security headers with every answer', async () => {
      const answers = [
        await get('/v1/fdb'),
        await get('/metrics'),
        await get('/nope'),
        await get('/v1/ports/x'),
        await get('/%zz'),
      ]
      for (const { headers } of [...answers, await get('/', { host: 'evil.example' })]) {
        assert.equal(headers['x-content-type-options'], 'nosniff')
        assert.equal(headers['cache-control'], 'no-store')
        assert.match(String(headers['content-security-policy']), /^default-src 'none'/)
        assert.equal(headers['cross-origin-resource-policy'], 'same-origin')
        assert.equal(headers['access-control-allow-origin'], undefined)
      }
    })

    it('logs its own faults and tells nobody their particulars', async t => {
      const quiet = recordingLog()
      const broken: FakeView = fakeView()
      const faulty = await serve(broken, '127.0.0.1:0', quiet)
      t.after(() => faulty.close())
      broken.ports = () => {
        throw new Error('secret at /home/me')
      }
      for (const path of ['/v1/ports', '/metrics']) {
        const answer = await ask(faulty.url, path)
        assertProblem(answer, 500, 'internal', /its log says what/)
        assert.doesNotMatch(answer.body, /secret|home|stack/)
      }
      const [level, fields] = quiet.lines[0]
      assert.equal(level, 'error')
      assert.match(String((fields as { err: Error }).err.stack), /secret at \/home\/me/)
      assert.equal((fields as { path: string }).path, '/v1/ports')
    })

    it('answers 500 rather than with something its schema forbids', async t => {
      const broken = fakeView()
      const faulty = await serve(broken, '127.0.0.1:0', recordingLog())
      t.after(() => faulty.close())
      broken.entries = [{ ...fakeEntry(1, 1), portId: -1 }]
      assertProblem(await ask(faulty.url, '/v1/fdb'), 500, 'internal', /its log says what/)
    })
  })
}

describe('the HTTP parser', () => {
  let server: HttpServer
  before(async () => {
    server = await serve(fakeView(), '127.0.0.1:0', recordingLog())
  })
  after(() => server.close())

  it('answers what is not HTTP with a problem', async () => {
    const answer = await askRaw(server.url, 'hello switch\r\n\r\n')
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\ncontent-type: application\/problem\+json\r\n/)
    assert.match(answer, /"code":"bad-request"/)
  })

  it('answers a header beyond 16 KiB with 431', async () => {
    const answer = await askRaw(server.url, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`)
    assert.match(answer, /^HTTP\/1\.1 431 /)
    assert.match(answer, /application\/problem\+json/)
  })

  it('refuses a request without Host, but for HTTP/1.0', async () => {
    const answer = await askRaw(server.url, 'GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n')
    assert.match(answer, /^HTTP\/1\.1 400 .*"detail":"The request has 0 Host headers/s)
    assert.match(await askRaw(server.url, 'OPTIONS /healthz HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 405 /)
    assert.match(await askRaw(server.url, 'GET /healthz HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 .*ok$/s)
  })

  it('refuses two Host headers', async () => {
    const answer = await askRaw(server.url, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n')
    assert.match(answer, /^HTTP\/1\.1 400 .*"detail":"The request has 2 Host headers/s)
  })

  it('takes a JSON type without a body for no body', async () => {
    const headers = { 'content-type': 'application/json' }
    const { url } = server
    assert.equal((await ask(url, '/v1/captures/7', { method: 'DELETE', headers })).status, 404)
    assert.match((await ask(url, '/v1/fdb', { method: 'POST', headers })).body, /"invalid-request"/)
    assert.match((await ask(url, '/v1/fdb', { method: 'POST', headers, body: '{' })).body, /"bad-request"/)
  })

  it('takes a slash at the end of a path for none', async () => {
    for (const path of ['/v1/ports/', '/v1/fdb/', '/v1/ports/1/', '/metrics/', '/healthz/']) {
      assert.equal((await ask(server.url, path)).status, 200, path)
    }
    assert.match((await ask(server.url, '/v1/ports/', { method: 'PUT' })).body, /"method-not-allowed"/)
  })
})
