import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { Connections } from '#src/http/connections.js'

class FakeSocket extends EventEmitter {
  static nextPort = 1
  destroyed = false
  readonly remotePort = FakeSocket.nextPort++
  readonly remoteAddress: string
  constructor(remoteAddress: string) {
    super()
    this.remoteAddress = remoteAddress
  }
  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }
}

function rig(limit: number) {
  const server = new EventEmitter()
  const connections = new Connections(limit)
  connections.watch(server as unknown as Server)
  const connect = (address = '192.0.2.1') => {
    const socket = new FakeSocket(address)
    server.emit('connection', socket)
    return socket
  }
  /** Begins a request; what it returns ends it. */
  const ask = (socket: FakeSocket, letIn = true) => {
    const response = new EventEmitter()
    server.emit('request', { socket }, response)
    if (letIn) connections.earned(socket as unknown as Socket)
    return () => response.emit('close')
  }
  return { connections, connect, ask, server }
}

const addresses = (count: number) => Array.from({ length: count }, (_, i) => `192.0.2.${i + 1}`)

describe('places for connections', () => {
  it('go to a new connection from the oldest one that has earned none', () => {
    const { connect, ask, connections } = rig(4)
    const [a, b, c, d] = addresses(4).map(connect)
    ask(a as FakeSocket)()
    connect('192.0.2.9')
    assert.deepEqual(
      [a, b, c, d].map(socket => socket?.destroyed),
      [false, true, false, false],
    )
    assert.equal(connections.size, 4)
    assert.equal(connections.closed, 1)
  })

  it('are taken from those that earned one only when all have: the longest idle of the address that holds the most', () => {
    const { connect, ask } = rig(4)
    const sockets = ['192.0.2.1', '192.0.2.2', '192.0.2.2', '192.0.2.3'].map(connect)
    for (const socket of sockets) ask(socket)()
    connect('192.0.2.9')
    assert.deepEqual(
      sockets.map(({ destroyed }) => destroyed),
      [false, true, false, false],
    )
  })

  it('are never taken from a request under way: then the new connection is closed', () => {
    const { connect, ask } = rig(2)
    const sockets = addresses(2).map(connect)
    const ends = sockets.map(socket => ask(socket, false))
    assert.ok(connect('192.0.2.9').destroyed)
    ends[1]?.()
    assert.ok(!connect('192.0.2.9').destroyed)
    assert.deepEqual(
      sockets.map(({ destroyed }) => destroyed),
      [false, true],
    )
  })

  it('are held by one address up to a half of them, a /64 of IPv6 counting as one', () => {
    const { connect, ask } = rig(8)
    const sockets = [1, 2, 3, 4].map(i => connect(`2001:db8::${i}`))
    for (const socket of sockets) ask(socket)()
    const fifth = connect('2001:db8::5')
    assert.ok(!fifth.destroyed)
    assert.deepEqual(
      sockets.map(({ destroyed }) => destroyed),
      [true, false, false, false],
    )
  })

  it('may all be held by loopback, where all users are one address', () => {
    const { connect, connections } = rig(8)
    for (let i = 0; i < 8; i++) connect('127.0.0.1')
    assert.equal(connections.closed, 0)
  })

  it('are given back by a connection that ends, and by one that becomes a WebSocket', () => {
    const { connect, connections, server } = rig(4)
    const socket = connect()
    connect().destroy()
    assert.equal(connections.size, 1)
    server.emit('upgrade', { headers: { upgrade: 'websocket' } }, socket)
    assert.equal(connections.size, 0)
    socket.destroy()
    assert.equal(connections.size, 0)
  })

  it('are kept by connections that offer another protocol in vain, also where the server takes them a second time', () => {
    const { connect, connections, server } = rig(4)
    const socket = connect()
    const offer = () => server.emit('upgrade', { headers: { upgrade: 'h2c' } }, socket)
    for (let i = 0; i < 3; i++) {
      offer()
      assert.equal(connections.size, 1)
      server.emit('connection', socket)
      assert.equal(connections.size, 1)
    }
    assert.equal(socket.listenerCount('close'), 1)
    socket.destroy()
    assert.equal(connections.size, 0)
  })

  it('are lost with more than eight requests without an answer', () => {
    const { connect, ask, connections } = rig(4)
    const socket = connect()
    const answer = Array.from({ length: 8 }, () => ask(socket))
    answer[0]?.()
    ask(socket)
    assert.equal(socket.destroyed, false)
    ask(socket, false)
    assert.deepEqual([socket.destroyed, connections.size, connections.closed], [true, 0, 1])
  })
})
