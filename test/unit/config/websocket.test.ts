import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { effectiveConfig } from '#src/config/effective.js'
import { parseConfig } from '#src/config/load.js'
import { resolveConfig } from '#src/config/resolve.js'
import { complaints, linux, load } from './load-text.js'

const one = (more: string) => `transports: [{ name: web, type: websocket, ${more} }]`
const first = (text: string) => load(text).transports[0]
const port = { maxFrameSize: 1518, isolated: false, queueFrames: 2048, fdb: { maxEntries: 4096, static: [] } }
const common = {
  type: 'websocket',
  name: 'web',
  token: null,
  pingSeconds: 30,
  idleSeconds: 100,
  textPings: false,
  port,
}

describe('a websocket transport', () => {
  it('is served on the HTTP server at a path', () => {
    assert.deepEqual(first(one('listen: /ethernet')), {
      ...common,
      role: 'listen',
      path: '/ethernet',
      address: null,
      tls: null,
      allowedOrigins: [],
      maxPeers: 64,
      maxPeersPerAddress: 32,
    })
  })

  it('is served on a listener of its own at host, port and path, with certificate and key beside the file', () => {
    const transport = first(
      one(
        'listen: "[::1]:8443/vm/net", tls: { certificate: web.pem, key: /srv/web.key }, maxPeers: 8, allowedOrigins: ["HTTPS://Vm.example"]',
      ),
    )
    assert.deepEqual(transport, {
      ...common,
      role: 'listen',
      path: '/vm/net',
      address: { host: '::1', port: 8443 },
      tls: { certificate: '/etc/web.pem', key: '/srv/web.key' },
      allowedOrigins: ['https://vm.example'],
      maxPeers: 8,
      maxPeersPerAddress: 8,
    })
  })

  it('dials a URL', () => {
    const text = one('connect: "wss://B.example/ethernet", ca: ca.pem, token: { file: b.token }, textPings: true')
    assert.deepEqual(first(text), {
      ...common,
      textPings: true,
      token: { file: '/etc/b.token' },
      role: 'connect',
      connect: 'wss://b.example/ethernet',
      ca: '/etc/ca.pem',
    })
  })

  it('is written as it was read', () => {
    for (const text of [
      one('listen: /ethernet, token: { env: WEB_TOKEN }, allowedOrigins: ["http://localhost:8080"]'),
      one('listen: "127.0.0.1:8080/a", tls: { certificate: a.pem, key: a.key }'),
      one('listen: "[::1]:0/a"'),
      one('connect: "ws://127.0.0.1:1/x", port: { fdb: { static: ["02:00:00:00:00:01"] } }'),
    ]) {
      const config = load(text)
      const again = resolveConfig(parseConfig(JSON.stringify(effectiveConfig(config)), linux.file), linux)
      assert.deepEqual(again.transports, config.transports)
    }
  })

  const wrong: [title: string, text: string, ...lines: string[]][] = [
    [
      'a path without a slash',
      one('listen: ethernet'),
      'transports[0].listen: "ethernet" is neither a path such as "/ethernet", nor host:port and a path such as "127.0.0.1:8080/ethernet"',
    ],
    [
      'a listener off loopback without a token',
      one('listen: "0.0.0.0:8080/ethernet"'),
      'transports[0].listen: "0.0.0.0:8080/ethernet" is not on loopback (127.0.0.1, [::1], localhost); that needs token, so that not everybody can join the network',
    ],
    [
      'tls on the HTTP server',
      one('listen: /ethernet, tls: { certificate: a, key: b }'),
      'transports[0].tls: only with a listener of its own; for a path on the HTTP server, http.tls is meant',
    ],
    [
      'a path on a server that is off',
      `${one('listen: /ethernet')}\nhttp: false`,
      'transports[0].listen: "/ethernet" is a path on the HTTP server, which http: false turns off',
    ],
    [
      'an origin with a path',
      one('listen: /e, allowedOrigins: ["http://a/b"]'),
      'transports[0].allowedOrigins[0]: "http://a/b" is not an origin such as "https://vm.example" or "http://localhost:8080"',
    ],
    [
      'a URL of something else',
      one('connect: "http://a/b"'),
      'transports[0].connect: "http://a/b" is not a URL such as "wss://switch.example/ethernet"',
    ],
    [
      'a password in a URL',
      one('connect: "ws://me:secret@a/b"'),
      'transports[0].connect: a URL with a name or a password in it is not taken; use token',
    ],
    ['a certificate for ws', one('connect: "ws://a/b", ca: a.pem'), 'transports[0].ca: only with wss'],
    [
      'pings that are too rare',
      one('listen: /e, pingSeconds: 60, idleSeconds: 60'),
      'transports[0].idleSeconds: 60 is not more than pingSeconds, which is 60; who answers every ping would be closed',
    ],
    ['options of the other form', one('connect: "ws://a/b", maxPeers: 3'), 'transports[0].maxPeers: only with listen'],
    [
      'one path twice',
      'transports: [{ name: a, type: websocket, listen: /e }, { name: b, type: websocket, listen: /e }]',
      'transports[1]: websocket:/e is taken by transports[0]',
    ],
  ]
  for (const [title, text, ...lines] of wrong) {
    it(`refuses ${title}`, () => assert.deepEqual(complaints(text), lines))
  }
})
