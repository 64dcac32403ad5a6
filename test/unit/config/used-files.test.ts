import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { usedBy, usedByForward, usedByHttp } from '#src/config/used-files.js'
import { load } from './load-text.js'

const ofTransport = (text: string) =>
  usedBy(load(`runtimeDir: /run/t\ntransports: [{ name: a, ${text} }]`).transports[0])

describe('the files that a configuration uses', () => {
  it('are the sockets that are made, not those that are sent to', () => {
    assert.deepEqual(ofTransport('type: unixgram, listen: vms.sock'), [{ path: '/run/t/vms.sock', use: 'socket' }])
    assert.deepEqual(ofTransport('type: unixgram, connect: { local: /a/l.sock, remote: /b/r.sock }'), [
      { path: '/a/l.sock', use: 'socket' },
    ])
    assert.deepEqual(ofTransport('type: stream, listen: /a/s.sock'), [{ path: '/a/s.sock', use: 'socket' }])
    assert.deepEqual(ofTransport('type: stream, listen: "127.0.0.1:0"'), [])
    assert.deepEqual(ofTransport('type: stream, connect: /b/s.sock'), [])
    assert.deepEqual(usedByForward({ host: '/a/f.sock' }), [{ path: '/a/f.sock', use: 'socket' }])
    assert.deepEqual(usedByForward({ host: '127.0.0.1:2222' }), [])
  })

  it('are certificates, keys and tokens in files', () => {
    assert.deepEqual(ofTransport('type: websocket, connect: "wss://x/y", ca: /c/ca.pem, token: { file: /t/token }'), [
      { path: '/c/ca.pem', use: 'file' },
      { path: '/t/token', use: 'file' },
    ])
    assert.deepEqual(ofTransport('type: websocket, listen: /ethernet, token: { env: T }'), [])
  })

  it('are those of the HTTP server, and the folders for what comes over the API', () => {
    const http = '{ listen: /a/api.sock, token: { file: /t/token }, allowedPaths: [/p], secretsDir: /s }'
    assert.deepEqual(usedByHttp(load(`http: ${http}`)), [
      { path: '/a/api.sock', use: 'socket' },
      { path: '/t/token', use: 'file' },
      { path: '/p', use: 'folder of sockets' },
      { path: '/p', use: 'folder of files' },
      { path: '/s', use: 'folder of files' },
    ])
  })
})
