/** Who may use the API, from where, and how much of it: on the program as it ships. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { createConnection } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Api } from '../support/api.js'
import { controlHeaders } from '../support/control-tokens.js'
import { eventually } from '../support/eventually.js'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import { SwitchProcess } from '../support/switch-process.js'
import { ask, askRaw } from '../unit/http/client.js'

const control = 'c0ntr01-0123456789abcdef-control'
const reader = 'read-0123456789abcdef-read-token'
const expired = 'expired-0123456789abcdef-expired'
const routes = [
  ['GET', '/metrics'],
  ['GET', '/openapi.json'],
  ['GET', '/docs'],
  ['GET', '/v1/switch'],
  ['GET', '/v1/ports'],
  ['GET', '/v1/ports/1'],
  ['GET', '/v1/fdb'],
  ['GET', '/v1/fdb/02:00:00:00:00:01'],
  ['GET', '/v1/transports'],
  ['GET', '/v1/transports/one'],
  ['GET', '/v1/interfaces'],
  ['GET', '/v1/interfaces/x'],
  ['GET', '/v1/interfaces/x/forwards'],
  ['GET', '/v1/captures'],
  ['GET', '/v1/events?tail=x'],
] as const
const changes = [
  ['GET', '/v1/capture?seconds=x'],
  ['PATCH', '/v1/switch'],
  ['PATCH', '/v1/ports/1'],
  ['DELETE', '/v1/ports/1'],
  ['POST', '/v1/fdb'],
  ['POST', '/v1/fdb/flush'],
  ['DELETE', '/v1/fdb/02:00:00:00:00:01'],
  ['POST', '/v1/transports'],
  ['DELETE', '/v1/transports/x'],
  ['POST', '/v1/interfaces'],
  ['DELETE', '/v1/interfaces/x'],
  ['POST', '/v1/interfaces/x/forwards'],
  ['DELETE', '/v1/interfaces/x/forwards?host=x'],
  ['DELETE', '/v1/captures/1'],
  ['POST', '/v1/config/save'],
] as const

const bodyOf = (method: string) => (method === 'POST' || method === 'PATCH' ? {} : undefined)

const secretFile = (lab: Lab, name: string, content: string, mode = 0o600) => {
  writeFileSync(lab.path(name), content, { mode })
  chmodSync(lab.path(name), mode)
  return { file: lab.path(name) }
}

describe('tokens', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch(
      {
        transports: [{ name: 'one', type: 'unixgram', listen: 'one.sock', peers: 'one' }],
        http: {
          listen: '127.0.0.1:0',
          token: secretFile(lab, 'api.token', `${control}\n`),
          tokens: [
            { name: 'prometheus', role: 'read', token: { env: 'TEST_READ_TOKEN' } },
            {
              name: 'last-year',
              role: 'control',
              token: secretFile(lab, 'old.token', expired),
              expires: '2020-01-01T00:00:00Z',
            },
          ],
        },
      },
      { env: { TEST_READ_TOKEN: reader } },
    )
  })
  after(() => lab.close())

  const as = (token: string | null = null) => new Api(running.url, token)

  it('are asked for on every route but the probes', async () => {
    for (const path of ['/healthz', '/readyz']) assert.equal((await as().get(path)).status, 200)
    for (const [method, path] of [...routes, ...changes, ['GET', '/nowhere'], ['POST', '/v1/switch']] as const) {
      const reply = await as().send(method, path)
      assert.equal(reply.status, 401, `${method} ${path}`)
      assert.equal(reply.json.code, 'token-missing')
      assert.equal(reply.headers['www-authenticate'], 'Bearer realm="tapswitch"')
    }
  })

  it('of the role read may look at everything and change nothing', async () => {
    for (const [method, path] of routes) {
      const { status } = await as(reader).send(method, path)
      assert.ok(![401, 403].includes(status), `${method} ${path}: ${status}`)
    }
    const before = (await as(reader).get('/v1/switch')).json
    for (const [method, path] of changes) {
      const reply = await as(reader).send(method, path, bodyOf(method))
      assert.equal(reply.status, 403, `${method} ${path}`)
      assert.equal(reply.json.code, 'role-too-weak')
    }
    assert.equal((await as(reader).get('/v1/switch')).json.ports, before.ports)
  })

  it('of the role control may do everything', async () => {
    for (const [method, path] of [...routes, ...changes]) {
      if (path === '/v1/config/save') continue
      const { status } = await as(control).send(method, path, bodyOf(method))
      assert.ok(![401, 403, 500].includes(status), `${method} ${path}: ${status}`)
    }
  })

  it('that have expired, are not known, or are no tokens at all open nothing', async () => {
    const codeOf = async (authorization: string) =>
      (await ask(running.url, '/v1/switch', { headers: { authorization } }).then(({ body }) => JSON.parse(body))).code
    assert.equal(await codeOf(`Bearer ${expired}`), 'token-expired')
    for (const wrong of [`${control}x`, control.slice(1), control.toUpperCase(), 'x']) {
      assert.equal(await codeOf(`Bearer ${wrong}`), 'token-unknown')
    }
    for (const none of ['', 'Bearer', 'Bearer ', control, `Token ${control}`, `Bearer ${control} x`, 'Basic x']) {
      assert.equal(await codeOf(none), 'token-missing', none)
    }
  })

  it('may be the password of Basic, which browsers are asked for when a person goes there', async () => {
    const basic = (token: string) => `Basic ${Buffer.from(`me:${token}`).toString('base64')}`
    assert.equal((await ask(running.url, '/v1/switch', { headers: { authorization: basic(reader) } })).status, 200)
    assert.equal((await ask(running.url, '/v1/switch', { headers: { authorization: basic('nope') } })).status, 401)
    const visit = await ask(running.url, '/docs', { headers: { 'sec-fetch-mode': 'navigate' } })
    assert.match(String(visit.headers['www-authenticate']), /^Basic /)
  })

  it('do not help a page of another site', async () => {
    const authorization = `Bearer ${control}`
    for (const [headers, code] of [
      [{ authorization, host: 'evil.example' }, 'wrong-host'],
      [{ authorization, host: 'localhost', origin: 'http://evil.example' }, 'wrong-origin'],
      [{ authorization, host: 'localhost', origin: 'null' }, 'wrong-origin'],
    ] as const) {
      for (const [method, path] of [...routes, ...changes]) {
        const answer = await ask(running.url, path, { method, headers })
        assert.equal(JSON.parse(answer.body).code, code, `${method} ${path}`)
      }
    }
  })

  it('are named in the log with what was done, and never shown there', async () => {
    await as(control).patch('/v1/switch', { name: 'audited' })
    const done = await running.logged(line => line.msg === 'audit' && String(line.wish).includes('audited'))
    assert.deepEqual(
      [done.who, done.role, done.method, done.path, done.status, done.result, done.from],
      ['token', 'control', 'PATCH', '/v1/switch', 200, 'done', '127.0.0.1'],
    )
    await as(reader).patch('/v1/switch', { name: 'sneaky' })
    const refused = await running.logged(line => line.msg === 'audit' && line.who === 'prometheus')
    assert.deepEqual([refused.status, refused.result], [403, 'refused'])
    await running.logged(({ msg }) => msg === 'a token was refused')
    const written = JSON.stringify(running.log) + running.output
    for (const secret of [control, reader, expired]) assert.ok(!written.includes(secret))
    const commandLine = readFileSync(`/proc/${running.pid}/cmdline`, 'utf8')
    for (const secret of [control, reader]) assert.ok(!commandLine.includes(secret))
  })

  it('are read again when their file is another, and stay when that one is no good', async () => {
    const next = 'another-0123456789abcdef-another'
    const readAgain = (times: number) =>
      eventually(
        async () => running.log.filter(({ msg }) => msg === 'tokens read again').length,
        count => count >= times,
        'the tokens read again',
        10_000,
      )
    secretFile(lab, 'next.token', next)
    renameSync(lab.path('next.token'), lab.path('api.token'))
    await readAgain(1)
    assert.equal((await as(next).get('/v1/switch')).status, 200)
    assert.equal((await as(control).get('/v1/switch')).json.code, 'token-unknown')
    writeFileSync(lab.path('api.token'), 'short')
    running.kill('SIGHUP')
    await running.logged(({ msg }) => msg.startsWith('tokens not read again'))
    assert.equal((await as(next).get('/v1/switch')).status, 200)
    secretFile(lab, 'next.token', control)
    renameSync(lab.path('next.token'), lab.path('api.token'))
    await readAgain(2)
    assert.equal((await as(control).get('/v1/switch')).status, 200)
  })

  it('cannot be guessed quickly: after some failures the address has to wait, and a right token with it', async () => {
    const replies = []
    for (let i = 0; i < 40; i++) replies.push(await as(`guess-number-${i}-aaaaaaaaaaaa`).get('/v1/switch'))
    const late = replies.at(-1)
    assert.equal(late?.status, 429)
    assert.equal(late?.json.code, 'too-many-failures')
    assert.ok(Number(late?.headers['retry-after']) >= 1)
    assert.equal((await as(control).get('/v1/switch')).status, 429)
    assert.equal((await as().get('/healthz')).status, 200)
    await eventually(
      () => as(control).get('/v1/switch'),
      ({ status }) => status === 200,
      'the address may again',
    )
  })
})

describe('a switch does not start', { timeout: 60_000 }, () => {
  async function refusal(
    http: object,
    prepare: (lab: Lab) => void = () => {},
  ): Promise<{ code: number | null; said: string }> {
    const lab = await Lab.open()
    try {
      prepare(lab)
      const { code, errors } = await SwitchProcess.refused(lab.folder, { http })
      assert.ok(!existsSync(lab.path('http.sock')))
      return { code, said: errors.map(({ msg }) => msg).join('\n') }
    } finally {
      await lab.close()
    }
  }

  for (const listen of ['0.0.0.0:0', '[::]:0', '192.0.2.1:80']) {
    it(`on ${listen} without a token`, async () => {
      const { code, said } = await refusal({ listen })
      assert.equal(code, 2)
      assert.match(said, /^http\.listen: ".*" is not on loopback .* that needs http\.token/)
      assert.equal(said.split('\n').length, 1)
    })
  }

  for (const [what, mode, content, why] of [
    ['that others may read', 0o644, control, /may be read or written by others \(mode 0644\); chmod 600 it/],
    ['that the group may read', 0o640, control, /mode 0640/],
    ['that is empty', 0o600, '\n', /is empty/],
    ['with a token that is too short', 0o600, 'short', /16 to 512 printable ASCII characters/],
    ['with two tokens', 0o600, `${control}\n${reader}\n`, /16 to 512/],
  ] as const) {
    it(`with a token file ${what}`, async () => {
      const { code, said } = await refusal({ token: { file: 'bad.token' } }, lab =>
        secretFile(lab, 'bad.token', content, mode),
      )
      assert.equal(code, 1)
      assert.match(said, why)
      assert.ok(!said.includes(content) || content.length < 6)
    })
  }

  it('with a token file or a variable that is not there', async () => {
    assert.match((await refusal({ token: { file: 'no.token' } })).said, /no\.token" does not exist/)
    assert.match((await refusal({ token: { env: 'NO_SUCH_TOKEN' } })).said, /NO_SUCH_TOKEN is not set/)
  })

  it('with a certificate that cannot be read, or whose key others may read', async () => {
    assert.match((await refusal({ tls: { certificate: 'no.pem', key: 'no.key' } })).said, /no\.pem" cannot be read/)
    const { said } = await refusal({ tls: { certificate: 'a.pem', key: 'a.key' } }, lab => {
      secretFile(lab, 'a.pem', 'x')
      secretFile(lab, 'a.key', 'x', 0o644)
    })
    assert.match(said, /a\.key" may be read or written by others/)
  })
})

describe('off loopback', { ...requirements({ commands: ['openssl'] }), timeout: 60_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  before(async () => {
    lab = await Lab.open()
    const [key, certificate] = [lab.path('tls.key'), lab.path('tls.pem')]
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=lab.example',
        '-keyout',
        key,
        '-out',
        certificate,
      ],
      { stdio: 'ignore' },
    )
    chmodSync(key, 0o600)
    running = await lab.startSwitch({
      http: {
        listen: '0.0.0.0:0',
        token: secretFile(lab, 'api.token', control),
        tls: { certificate, key },
        allowedHosts: ['lab.example'],
      },
    })
  })
  after(() => lab.close())

  async function get(
    path: string,
    headers: Record<string, string>,
  ): Promise<{ status: number | undefined; body: string }> {
    const { port } = new URL(running.url)
    const sent = httpsRequest({ host: '127.0.0.1', port, path, headers, rejectUnauthorized: false, agent: false })
    sent.end()
    const [response] = await once(sent, 'response')
    return { status: response.statusCode, body: await text(response) }
  }

  it('a token and TLS open the API, under addresses and allowed names only', async () => {
    const authorization = `Bearer ${control}`
    assert.match(running.url, /^https:\/\/0\.0\.0\.0:/)
    for (const host of ['192.0.2.7:443', 'lab.example', '[2001:db8::1]']) {
      assert.equal((await get('/v1/switch', { host, authorization })).status, 200, host)
    }
    assert.equal((await get('/v1/switch', { host: 'evil.example', authorization })).status, 421)
    assert.equal((await get('/v1/switch', { host: 'lab.example' })).status, 401)
    const origin = { host: 'lab.example', authorization, origin: 'https://lab.example' }
    assert.equal((await get('/v1/switch', origin)).status, 200)
    assert.equal((await get('/v1/switch', { ...origin, origin: 'http://lab.example' })).status, 403)
  })

  it('what is not TLS gets no answer', async () => {
    const { port } = new URL(running.url)
    assert.equal(await askRaw(`http://127.0.0.1:${port}`, 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n'), '')
  })
})

describe('a unix socket', { timeout: 60_000 }, () => {
  it('has the mode that was asked for', async () => {
    const lab = await Lab.open()
    try {
      const running = await lab.startSwitch({ http: { listen: 'http.sock', permissions: '0660' } })
      assert.equal(statSync(lab.path('http.sock')).mode & 0o777, 0o660)
      assert.equal((await new Api(running.url).patch('/v1/switch', { name: 'x' })).status, 200)
    } finally {
      await lab.close()
    }
  })
})

describe('hostile clients', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [] })
  })
  after(() => lab.close())
  const isWell = async () => assert.equal((await new Api(running.url).get('/healthz')).status, 200)

  it('send a body that is too large, and are told', async () => {
    const { status, body } = await ask(running.url, '/v1/transports', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...controlHeaders(running.url) },
      body: `{"name":"${'x'.repeat(70_000)}"}`,
    })
    assert.equal(status, 413)
    assert.equal(JSON.parse(body).code, 'bad-request')
  })

  it('send bodies that are no JSON, of another type, or that reach for prototypes, and are told', async () => {
    const send = (type: string, body: string) =>
      ask(running.url, '/v1/transports', {
        method: 'POST',
        headers: { 'content-type': type, ...controlHeaders(running.url) },
        body,
      })
    assert.equal((await send('application/json', '{')).status, 400)
    assert.equal((await send('application/json', '')).status, 400)
    assert.equal((await send('application/json', '{"__proto__":{"x":1}}')).status, 400)
    for (const type of ['text/plain', 'text/xml', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      assert.equal((await send(type, '{"name":"x"}')).status, 415, type)
    }
  })

  it('climb out of no folder', async () => {
    for (const path of [
      '/../../etc/passwd',
      '/docs/../../../etc/passwd',
      '/docs/%2e%2e/%2e%2e/etc/passwd',
      '/docs/..%2f..%2fetc/passwd',
      '/v1/transports/..%2f..%2f',
      '/v1/transports/%2e%2e',
      '//etc/passwd',
      '/docs\\..\\..\\etc\\passwd',
      '/docs%00',
    ]) {
      const answer = await askRaw(running.url, `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`)
      assert.match(answer, /^HTTP\/1\.1 40[04] /, path)
      assert.doesNotMatch(answer, /root:/)
    }
  })

  it('send their header a byte at a time, or their body never, and are cut off', async () => {
    const { hostname, port } = new URL(running.url)
    const slow = Array.from({ length: 20 }, () => createConnection({ host: hostname, port: Number(port) }))
    const stalled = createConnection({ host: hostname, port: Number(port) })
    stalled.write(
      `POST /v1/transports HTTP/1.1\r\nhost: localhost\r\nauthorization: ${controlHeaders(running.url).authorization}\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{`,
    )
    const drip = setInterval(() => {
      for (const socket of slow) if (socket.writable) socket.write('a')
    }, 200)
    const began = performance.now()
    try {
      const answers = await Promise.all(
        slow.map(socket => {
          socket.on('error', () => {})
          socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ')
          return text(socket).catch(() => '')
        }),
      )
      assert.ok(performance.now() - began < 15_000)
      for (const answer of answers) assert.match(answer, /^(HTTP\/1\.1 408 |$)/)
      assert.match(await text(stalled).catch(() => ''), /^(HTTP\/1\.1 408 |$)/)
    } finally {
      clearInterval(drip)
    }
    await isWell()
  })

  it('open more connections than there are, and keep others out only while they hold them', async () => {
    const { hostname, port } = new URL(running.url)
    const sockets = Array.from({ length: 400 }, () => {
      const socket = createConnection({ host: hostname, port: Number(port) })
      return socket.on('error', () => {})
    })
    await delay(200)
    for (const socket of sockets) socket.destroy()
    await eventually(
      () => new Api(running.url).get('/healthz').catch(() => ({ status: 0 })),
      ({ status }) => status === 200,
      'an answer',
    )
  })
})
