/** The API behind nginx, Caddy and HAProxy, with TLS at the proxy and the configurations of docs/proxies.md. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { makeCertificates } from '../support/certificates.js'
import { codeBlocks, page } from '../support/documents.js'
import { arpReply, arpRequest } from '../support/frames.js'
import { freeTcpPort } from '../support/free-port.js'
import { Lab } from '../support/lab.js'
import { type ProxyProgram, type RunningProxy, startProxy } from '../support/proxy.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { WebSocketPeer } from '../support/websocket-peer.js'

const blocks = codeBlocks(page('docs/proxies.md').text)
const example = (language: string) => blocks.find(block => block.language === language)?.text as string
const NAME = 'switch.example'
const token = randomBytes(24).toString('hex')
const authorization = `Bearer ${token}`

for (const program of ['nginx', 'caddy', 'haproxy'] as const satisfies ProxyProgram[]) {
  const needs = requirements({ commands: [program, 'openssl'] })
  describe(`behind ${program}, as the docs have it`, { ...needs, timeout: 60_000 }, () => {
    let lab: Lab
    let running: SwitchProcess
    let proxy: RunningProxy
    let ca: Buffer
    let port: number

    before(async () => {
      lab = await Lab.open()
      writeFileSync(lab.path('api.token'), token, { mode: 0o600 })
      const { http, ...rest } = parse(example('yaml'))
      running = await lab.startSwitch({ ...rest, http: { ...http, listen: '127.0.0.1:0' } })
      const certificates = makeCertificates(lab.folder, [NAME])
      ca = readFileSync(certificates.authority)
      port = await freeTcpPort()
      proxy = await start(example(program))
    })
    after(async () => {
      await proxy?.stop()
      await lab?.close()
    })

    /** The example with the addresses and files of this test. */
    function start(configuration: string): Promise<RunningProxy> {
      const both = lab.path('both.pem')
      writeFileSync(both, ['server.pem', 'server.key'].map(name => readFileSync(lab.path(name), 'utf8')).join(''))
      const files: [string, string][] = [
        ['/etc/ssl/switch.example.both.pem', both],
        ['/etc/ssl/switch.example.pem', lab.path('server.pem')],
        ['/etc/ssl/switch.example.key', lab.path('server.key')],
        ['127.0.0.1:9676', new URL(running.url).host],
      ]
      const here = files.reduce((text, [from, to]) => text.replaceAll(from, to), configuration)
      return startProxy(program, here, { folder: lab.folder, port })
    }

    const host = () => `${NAME}:${port}`
    const origin = () => `https://${host()}`

    async function open(path: string, { method = 'GET', body = '', headers = {} } = {}): Promise<IncomingMessage> {
      const to = { host: '127.0.0.1', port, servername: NAME, ca, agent: false, timeout: 10_000 }
      const asked = request({ ...to, path, method, headers: { host: host(), authorization, ...headers } })
      asked.on('timeout', () => asked.destroy(new Error(`${path} is silent`)))
      asked.end(body)
      const [response] = (await once(asked, 'response')) as [IncomingMessage]
      return response
    }

    /** What a browser does for a change that a page makes. */
    async function change(): Promise<{ status: number | undefined; body: string }> {
      const headers = { origin: origin(), 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }
      const body = JSON.stringify({ fdb: { ageingSeconds: 100 + Math.floor(Math.random() * 100) } })
      const response = await open('/v1/switch', { method: 'PATCH', body, headers })
      return { status: response.statusCode, body: await text(response) }
    }

    const peer = () => {
      const options = { ca, servername: NAME, origin: origin(), headers: { host: host(), authorization } }
      return WebSocketPeer.connect(`wss://127.0.0.1:${port}/vm`, options)
    }

    it('the page, probes and requests with a token are answered, and refusals get through', async () => {
      const index = await open('/')
      assert.match(await text(index), /page\/main\.js/)
      for (const path of ['/page/main.js', '/healthz', '/v1/ports/']) {
        const response = await open(path)
        assert.equal(response.statusCode, 200, path)
        await text(response)
      }
      const refused = await open('/v1/ports', { headers: { authorization: 'Bearer wrong-token-0123456789' } })
      assert.deepEqual([refused.statusCode, JSON.parse(await text(refused)).code], [401, 'token-unknown'])
    })

    it('a change of the page is made, and its event comes at once', async () => {
      const events = await open('/v1/events?tail=0')
      assert.equal(events.statusCode, 200)
      assert.equal((await change()).status, 200)
      await sees(events, 'event: switch-changed')
      events.destroy()
    })

    it('frames of a WebSocket go both ways, and a capture shows them at once', async () => {
      const alice = await peer()
      const bob = await peer()
      const capture = await open('/v1/capture')
      assert.equal(capture.statusCode, 200)
      await alice.send([arpRequest])
      assert.deepEqual((await bob.receive(1)).map(Buffer.from), [Buffer.from(arpRequest)])
      await bob.send([arpReply])
      assert.deepEqual((await alice.receive(1)).map(Buffer.from), [Buffer.from(arpReply)])
      await sees(capture, Buffer.from(arpReply).toString('latin1'))
      capture.destroy()
      alice.leave()
      bob.leave()
    })

    const passesHost = { nginx: 'proxy_set_header Host $http_host;', caddy: '127.0.0.1:9676', haproxy: '/healthz' }[
      program
    ]
    const changesHost = {
      nginx: '',
      caddy: '127.0.0.1:9676 {\n header_up Host {upstream_hostport}\n }',
      haproxy: '/healthz\n    http-request set-header Host 127.0.0.1:9676',
    }[program]

    it('a proxy that changes Host is named as the cause', async () => {
      await proxy.stop()
      const configuration = example(program)
      assert.ok(configuration.includes(passesHost))
      proxy = await start(configuration.replace(passesHost, () => changesHost))
      assert.equal((await open('/')).statusCode, 200)
      const { status, body } = await change()
      const { code, detail } = JSON.parse(body)
      assert.deepEqual([status, code], [403, 'wrong-origin'])
      assert.match(
        detail,
        /page of "https:\/\/switch\.example:\d+" and for the host "127\.0\.0\.1:\d+".*must pass on the Host header/,
      )
      await assert.rejects(peer(), /403/)
    })
  })
}

/** Resolves when the stream has shown the text, long before it ends. */
async function sees(stream: IncomingMessage, wanted: string): Promise<void> {
  let seen = ''
  const timer = setTimeout(() => stream.destroy(new Error(`not seen within 10 s; seen: ${seen}`)), 10_000)
  try {
    for await (const piece of stream.iterator({ destroyOnReturn: false })) {
      seen += (piece as Buffer).toString('latin1')
      if (seen.includes(wanted)) return
    }
    throw new Error(`the stream ended; seen: ${seen}`)
  } finally {
    clearTimeout(timer)
  }
}
