/** The relay that people write with `ws`: what one client sends goes to all others. Prints its port. */
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'

const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
server.on('connection', client => {
  client.on('message', (data, isBinary) => {
    for (const other of server.clients) {
      if (other !== client && other.readyState === WebSocket.OPEN) other.send(data, { binary: isBinary })
    }
  })
  client.on('error', () => {})
})
server.on('listening', () => console.log(`port ${(server.address() as AddressInfo).port}`))
process.on('SIGTERM', () => process.exit(0))
