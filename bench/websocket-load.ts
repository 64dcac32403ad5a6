/**
 * Two WebSocket clients of one relay or switch: one sends as fast as it is let, the other counts what arrives. The frames are
 * made before and the counting is by bytes, so that both together cost a fraction of what they load.
 *
 *   node websocket-load.js ws://127.0.0.1:8080/ethernet SIZE SECONDS
 */
import { connect, type Socket } from 'node:net'

const [address, size, seconds] = process.argv.slice(2) as [string, string, string]
const { hostname, port, pathname } = new URL(address)
const length = Number(size)

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) }, () => {
      socket.setNoDelay(true)
      socket.write(
        `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      )
      socket.once('data', answer => {
        if (answer.toString('latin1').startsWith('HTTP/1.1 101')) resolve(socket)
        else reject(new Error(answer.toString('latin1')))
      })
    })
    socket.once('error', reject)
  })
}

/** A message with a frame of EtherType 0x88b5; masked, as clients have to, with zeroes. */
function message(destination: string, source: string): Buffer {
  const header =
    length < 126 ? Buffer.from([0x82, 0x80 | length]) : Buffer.from([0x82, 0xfe, length >> 8, length & 255])
  const frame = Buffer.alloc(length)
  frame.write(destination + source + '88b5', 'hex')
  return Buffer.concat([header, Buffer.alloc(4), frame])
}

const [alice, bob] = ['02000000000a', '02000000000b'] as const
const [from, to] = await Promise.all([open(), open()])
from.on('data', () => {})
let bytes = 0
to.on('data', piece => {
  bytes += piece.length
})
from.write(message('ffffffffffff', alice))
to.write(message('ffffffffffff', bob))
await new Promise(resolve => setTimeout(resolve, 300))

const one = message(bob, alice)
const many = Buffer.concat(new Array(Math.ceil(60_000 / one.length)).fill(one))
let sent = 0
const pump = () => {
  do sent += many.length / one.length
  while (from.write(many))
  from.once('drain', pump)
}
pump()
await new Promise(resolve => setTimeout(resolve, 700))
const before = { bytes, sent, at: performance.now() }
await new Promise(resolve => setTimeout(resolve, Number(seconds) * 1000))
const elapsed = (performance.now() - before.at) / 1000
const received = (bytes - before.bytes) / (length + (length < 126 ? 2 : 4))
console.log(JSON.stringify({ received: received / elapsed, sent: (sent - before.sent) / elapsed }))
process.exit(0)
