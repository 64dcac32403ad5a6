import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Door, isLoopback, refusal } from '#src/http/guard.js'

const onLoopback: Door = { kind: 'loopback', scheme: 'http', allowedHosts: [] }
const onUnixSocket: Door = { ...onLoopback, kind: 'unix' }
const onNetwork: Door = { kind: 'network', scheme: 'https', allowedHosts: ['switch.example'] }

/** A request with these headers, as Node.js hands it over. */
const asked = (headers: Record<string, string>, version: '1.0' | '1.1' = '1.1') => ({
  headers,
  rawHeaders: Object.entries(headers).flat(),
  httpVersionMajor: 1,
  httpVersionMinor: version === '1.0' ? 0 : 1,
})

const ofHost = (host: string, door = onLoopback) => refusal(asked({ host }), door)?.status

describe('the Host header', () => {
  for (const host of [
    '127.0.0.1:9676',
    '127.0.0.1',
    '127.8.9.1:1',
    '[::1]:9676',
    '[::1]',
    'localhost',
    'LOCALHOST:80',
    'lab.localhost:80',
    'localhost.:9676',
  ]) {
    it(`may be ${host}`, () => assert.equal(ofHost(host), undefined))
  }

  for (const host of [
    '',
    'evil.example',
    'evil.example:9676',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    '0.0.0.0',
    '[::]',
    '[::2]:80',
    '::1',
    '127.0.0.1:80:80',
    'evil.example/localhost',
    'user@localhost',
    'switch',
  ]) {
    it(`may not be "${host}"`, () => assert.equal(ofHost(host), 421))
  }

  for (const host of ['', 'localhost', 'unix', 'tapswitch', '127.0.0.1']) {
    it(`may be "${host}" on a unix socket`, () => assert.equal(ofHost(host, onUnixSocket), undefined))
  }

  for (const host of ['evil.example', '10.0.0.1', '[fe80::1]']) {
    it(`may not be ${host} even on a unix socket`, () => assert.equal(ofHost(host, onUnixSocket), 421))
  }

  it('may be left out on a unix socket, and by HTTP/1.0, as load balancers probe', () => {
    assert.equal(refusal(asked({}), onUnixSocket), undefined)
    assert.equal(refusal(asked({}, '1.0'), onLoopback), undefined)
    assert.equal(refusal(asked({}, '1.0'), onNetwork), undefined)
    assert.equal(refusal(asked({}), onLoopback)?.status, 400)
    assert.equal(refusal(asked({}), onNetwork)?.status, 400)
  })

  it('may be there once', () => {
    const twice = { ...asked({ host: 'localhost' }), rawHeaders: ['Host', 'localhost', 'host', 'evil.example'] }
    for (const door of [onLoopback, onUnixSocket, onNetwork]) assert.equal(refusal(twice, door)?.status, 400)
  })
})

describe('the Host header off loopback', () => {
  for (const host of [
    '10.0.0.1:9676',
    '[2001:db8::1]:9676',
    'localhost',
    'switch.example',
    'SWITCH.example:443',
    'switch.example.',
  ]) {
    it(`may be ${host}`, () => assert.equal(ofHost(host, onNetwork), undefined))
  }

  for (const host of ['', 'evil.example', 'x.switch.example', 'switch.example..', '10.0.0.1.evil.example', 'switch']) {
    it(`may not be "${host}"`, () => assert.equal(ofHost(host, onNetwork), 421))
  }
})

describe('the Origin header', () => {
  const of = (origin: string) => refusal(asked({ host: 'localhost:9676', origin }), onLoopback)

  it('may be that of the host asked', () => {
    assert.equal(of('http://localhost:9676'), undefined)
  })

  for (const origin of [
    'null',
    '',
    'http://localhost',
    'http://localhost:80',
    'https://localhost:9676',
    'http://127.0.0.1:9676',
    'http://evil.example',
    'http://localhost:9676.evil.example',
  ]) {
    it(`may not be "${origin}"`, () => assert.equal(of(origin)?.status, 403))
  }
})

describe('the Origin header of a WebSocket', () => {
  const of = (origin: string) =>
    refusal(asked({ host: 'localhost:9676', origin }), onLoopback, ['http://Lab.example:8080'])

  it('may be one the route allows, besides our own', () => {
    assert.equal(of('http://lab.example:8080'), undefined)
    assert.equal(of('http://localhost:9676'), undefined)
  })

  for (const origin of ['http://lab.example', 'https://lab.example:8080', 'null']) {
    it(`may not be "${origin}"`, () => assert.equal(of(origin)?.status, 403))
  }
})

describe('hosts and origins that are spelled in another way', () => {
  const of = (host: string, origin: string, door: Door, allowed: string[] = []) =>
    refusal(asked({ host, origin }), door, allowed)?.status

  it('are the same with and without the port that the scheme implies', () => {
    assert.equal(of('localhost:80', 'http://localhost', onLoopback), undefined)
    assert.equal(of('localhost', 'http://localhost:80', onLoopback), undefined)
    assert.equal(of('switch.example:443', 'https://switch.example', onNetwork), undefined)
    assert.equal(of('switch.example', 'https://switch.example:443', onNetwork), undefined)
    assert.equal(of('localhost', 'http://vm.example', onLoopback, ['http://VM.example:80']), undefined)
    assert.equal(of('localhost', 'https://vm.example:443', onLoopback, ['https://vm.example']), undefined)
    assert.equal(of('localhost:443', 'http://localhost', onLoopback), 403)
    assert.equal(of('localhost', 'https://vm.example:80', onLoopback, ['https://vm.example']), 403)
  })

  it('are the same with and without the dot that ends an absolute name', () => {
    assert.equal(of('switch.example.', 'https://switch.example', onNetwork), undefined)
    assert.equal(of('switch.example', 'https://switch.example.:443', onNetwork), undefined)
    assert.equal(of('switch.example', 'https://.', onNetwork), 403)
  })
})

describe('the Origin header behind a proxy', () => {
  const of = (origin: string) =>
    refusal(asked({ host: 'switch.example', origin }), { ...onLoopback, allowedHosts: ['switch.example'] })

  it('may be https for a name that is allowed', () => {
    assert.equal(of('https://switch.example'), undefined)
    assert.equal(of('http://switch.example'), undefined)
    assert.equal(of('https://evil.example')?.status, 403)
  })
})

describe('isLoopback', () => {
  it('knows names and addresses that can only mean this machine', () => {
    for (const host of ['127.0.0.1', '127.255.0.9', '::1', 'localhost', 'localhost.']) assert.ok(isLoopback(host), host)
    for (const host of ['128.0.0.1', '127.1', '::', 'notlocalhost', '.localhost', ''])
      assert.ok(!isLoopback(host), host)
  })
})
