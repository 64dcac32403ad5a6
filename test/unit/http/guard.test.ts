import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Door, isLoopback, refusal } from '#src/http/guard.js'

const onLoopback: Door = { kind: 'loopback', scheme: 'http', allowedHosts: [] }
const onUnixSocket: Door = { ...onLoopback, kind: 'unix' }
const onNetwork: Door = { kind: 'network', scheme: 'https', allowedHosts: ['switch.example'] }

const ofHost = (host: string, door = onLoopback) => refusal({ host }, door)?.status

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

  it('may be left out on a unix socket only', () => {
    assert.equal(refusal({}, onUnixSocket), undefined)
    assert.equal(refusal({}, onLoopback)?.status, 421)
  })
})

describe('the Host header off loopback', () => {
  for (const host of ['10.0.0.1:9676', '[2001:db8::1]:9676', 'localhost', 'switch.example', 'SWITCH.example:443']) {
    it(`may be ${host}`, () => assert.equal(ofHost(host, onNetwork), undefined))
  }

  for (const host of ['', 'evil.example', 'x.switch.example', 'switch.example.', '10.0.0.1.evil.example', 'switch']) {
    it(`may not be "${host}"`, () => assert.equal(ofHost(host, onNetwork), 421))
  }
})

describe('the Origin header', () => {
  const of = (origin: string) => refusal({ host: 'localhost:9676', origin }, onLoopback)

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
  const of = (origin: string) => refusal({ host: 'localhost:9676', origin }, onLoopback, ['http://Lab.example:8080'])

  it('may be one the route allows, besides our own', () => {
    assert.equal(of('http://lab.example:8080'), undefined)
    assert.equal(of('http://localhost:9676'), undefined)
  })

  for (const origin of ['http://lab.example', 'https://lab.example:8080', 'null']) {
    it(`may not be "${origin}"`, () => assert.equal(of(origin)?.status, 403))
  }
})

describe('the Origin header behind a proxy', () => {
  const of = (origin: string) =>
    refusal({ host: 'switch.example', origin }, { ...onLoopback, allowedHosts: ['switch.example'] })

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
