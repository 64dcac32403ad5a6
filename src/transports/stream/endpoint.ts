/**
 * Frames over stream sockets: the data plane's half.
 *
 * Each connection is a port. Where there can be many (`listen`), a port is made by the connection and ends with it,
 * since a connection has no name by which its successor could be known. Where there is one (`peers: one`, `connect`) or
 * where the main thread keeps books (`given`), the port stays and waits for the next.
 *
 * What a peer can do wrong ends its connection and nothing else: a length that cannot be one (`bad-length`). It is the
 * peer's to connect again, or ours to dial again, where frames have a beginning once more.
 *
 * A connection survives the data plane that served it if that one could still say where in a frame both directions were
 * (`handOver`). If it could not, the connection is closed (`cut-off`): going on at a guess would turn the stream into
 * noise.
 */
import { getSystemErrorName } from 'node:util'
import type { DescriptorShare } from '../../dataplane/descriptor-budget.js'
import { type Endpoint, type EndpointHost, type EndpointPort, Fault } from '../../dataplane/endpoint.js'
import { type FrameList, LIST } from '../../dataplane/frame-list.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import { GatherVector } from '../../os/gather-vector.js'
import * as streams from '../../os/stream-socket.js'
import { closeSocket } from '../../os/unix-socket.js'
import { type SendFault, streamFaults } from '../send-fault.js'
import { Acceptor } from './acceptor.js'
import { Connection } from './connection.js'
import { Prefixes } from './frame-writer.js'
import type { ConnectionRestore, GivenConnection, StreamDowncall, StreamOptions, StreamUpcall } from './options.js'
import { PendingDial } from './pending-dial.js'
import { peerLabel, prepareSocket } from './socket-options.js'

const NO_DESCRIPTORS =
  'a connection is refused because there are no open files left for peers of this transport: raise the limit (LimitNOFILE=, ulimit -n)'

export class StreamEndpoint implements Endpoint {
  readonly maxTransmit = LIST
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: StreamOptions
  readonly #vector: GatherVector
  readonly #faultOf: SendFault
  readonly #prefixes = new Prefixes()
  readonly #byFd: (Connection | undefined)[] = []
  readonly #byPort: (Connection | undefined)[] = []
  /** A port is made for each connection, and ends with it. */
  readonly #manyPorts: boolean
  /** Else: ports by name, whether connected or not. */
  readonly #lasting = new Map<string, number>()
  #count = 0
  #maxPeers: number
  readonly #dial: PendingDial
  readonly abandon = (): void => this.#dial.close()
  readonly #acceptor: Acceptor
  readonly #share: DescriptorShare

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as StreamOptions
    this.#vector = new GatherVector(host.os.layout)
    this.#faultOf = streamFaults(host.os.layout)
    this.#share = host.descriptorShare(spec.index)
    this.#acceptor = new Acceptor(this, host, this.#options.mode === 'listen' ? this.#options.listening : [])
    this.#dial = new PendingDial(this, host, this.#options.socket, {
      connected: (fd, peer) => {
        this.#share.hold()
        this.#begin(fd, this.#lastingPort(spec.name), spec.name, 0, peer)
      },
      failed: error => this.#upcall({ type: 'idle', error, wasUp: false }),
    })
    this.#manyPorts = this.#options.mode === 'listen' && this.#options.peers === 'many'
    this.#maxPeers = this.#options.mode === 'listen' ? this.#options.maxPeers : Number.POSITIVE_INFINITY
  }

  open(): void {
    const options = this.#options
    const over = this.#restorePorts()
    if (options.mode === 'given') {
      for (const name of options.lasting ?? []) this.#fixedPort(name)
      for (const given of options.connections) if (!over.has(given.id)) this.#give(given)
    } else if (!this.#manyPorts) this.#fixedPort(this.#spec.name)
    this.#acceptor.open()
    if (options.mode === 'connect' && this.#count === 0) this.#upcall({ type: 'idle', error: null, wasUp: false })
  }

  receive(): number {
    throw new Error('frames of a stream lie in place')
  }

  receiveInPlace(fd: number, list: FrameList): number {
    const connection = this.#byFd[fd]
    if (connection === undefined) {
      if (!this.#acceptor.accept(fd, accepted => this.#admit(accepted)))
        this.#countRefusal('descriptor-limit', NO_DESCRIPTORS)
      return 0
    }
    const { reader } = connection
    if (!reader.holding) {
      const result = reader.read(fd)
      if (result <= 0) {
        if (result === 0) this.#end(connection, 'closed by its peer')
        else if (this.#faultOf(-result) === Fault.gone) this.#end(connection, getSystemErrorName(result))
        return 0
      }
    }
    list.port = connection.port
    const count = reader.parse(list)
    if (count >= 0) return count
    this.#host.countDrop(this.#spec.index, 'bad-length')
    this.#end(connection, 'it sent what cannot be the length of a frame')
    return 0
  }

  transmit(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const connection = this.#byPort[port] as Connection
    return connection.writer.send(connection.fd, offsets, lengths, first, count)
  }

  unfinished(port: number): boolean {
    return this.#byPort[port]?.writer.unfinished === true
  }

  fault(_port: number, errno: number): Fault {
    return this.#faultOf(errno)
  }

  gone(port: number): void {
    const connection = this.#byPort[port]
    if (connection !== undefined) this.#end(connection, 'nobody takes what is sent')
  }

  egressDescriptor(port: number): number {
    return this.#byPort[port]?.fd ?? -1
  }

  connected(fd: number): void {
    this.#dial.settle(fd)
  }

  tick(now: number): void {
    this.#acceptor.tick()
    this.#dial.tick(now)
    this.#endUnanswered()
  }

  message(message: EndpointMessage): void {
    const downcall = message as unknown as StreamDowncall
    if (downcall.type === 'dial') {
      if (this.#count === 0 && !this.#dial.active) this.#dial.start(downcall.family, downcall.address, downcall.peer)
    } else if (downcall.type === 'give') this.#give(downcall.connection)
    else if (downcall.type === 'drop') this.#drop(downcall.portName)
    else if (downcall.type === 'count') this.#host.countDrop(this.#spec.index, downcall.reason, downcall.count)
    else if (downcall.type === 'max-peers') this.#maxPeers = downcall.maxPeers
  }

  handOver(headOf: (port: number) => Uint8Array | null): void {
    this.#dial.close()
    for (const connection of this.#byPort) {
      if (connection === undefined || connection.reader.holding) continue
      this.#host.updateRestore(connection.port, connection.restore(headOf(connection.port)))
    }
  }

  close(): void {
    for (const connection of this.#byPort) if (connection !== undefined) this.#close(connection)
    for (const port of this.#lasting.values()) this.#host.removePort(port)
    this.#lasting.clear()
    this.#acceptor.close()
    this.#dial.close()
  }

  /** The kernel asks only those peers to which nothing is on its way. */
  #endUnanswered(): void {
    const { keepAliveSeconds } = this.#options.socket
    if (keepAliveSeconds === 0) return
    const isSilent = (fd: number) => streams.leavesUnanswered(this.#host.os.layout, fd, 2000 * keepAliveSeconds)
    for (const each of this.#byPort) if (each !== undefined && isSilent(each.fd)) this.#end(each, 'it does not answer')
  }

  /** Connections beyond the limit are taken and closed: whoever waits in the backlog does not know that it waits. */
  #admit(fd: number): void {
    if (!this.#manyPorts) this.#makeWay(this.#lastingPort(this.#spec.name))
    const name = this.#manyPorts ? `${this.#spec.name}:${this.#host.nextPortNumber(this.#spec.index)}` : this.#spec.name
    if (this.#count >= this.#maxPeers) {
      this.#refuse(fd, 'peer-limit', `no more than ${this.#maxPeers} connections are served: raise maxPeers`)
      return
    }
    if (!this.#share.take()) {
      this.#refuse(fd, 'descriptor-limit', NO_DESCRIPTORS)
      return
    }
    const port = this.#manyPorts ? this.#host.addPort(this, this.#describe(name)) : this.#lastingPort(name)
    if (port < 0) {
      this.#share.give()
      this.#refuse(fd, 'peer-limit', 'all ports of the switch are in use: raise switch.maxPorts')
      return
    }
    prepareSocket(this.#host.os.layout, fd, this.#options.socket)
    this.#begin(fd, port, name, 0, peerLabel(this.#host.os.layout, fd))
  }

  #refuse(fd: number, reason: 'peer-limit' | 'descriptor-limit', message: string): void {
    this.#countRefusal(reason, message)
    closeSocket(fd)
  }

  #countRefusal(reason: 'peer-limit' | 'descriptor-limit', message: string): void {
    this.#host.countDrop(this.#spec.index, reason)
    // On a path for one peer a second connection is refused by design.
    if (reason === 'descriptor-limit' || this.#manyPorts) this.#host.raise(this.#spec.name, reason, message)
  }

  /** A VM that restarted may be back before its end was read. */
  #makeWay(port: number): void {
    const connection = this.#byPort[port]
    if (connection !== undefined && streams.hasHungUp(connection.fd)) this.#end(connection, 'closed by its peer')
  }

  #give({ id, fd, portName, peer }: GivenConnection): void {
    const port = this.#lastingPort(portName)
    if (port < 0) {
      this.#host.countDrop(this.#spec.index, 'peer-limit')
      this.#upcall({ type: 'ended', id, reason: 'the switch has no place for another port', refused: true })
      return
    }
    const before = this.#byPort[port]
    // It is over, or it was restored.
    if (fd < 0 || before?.id === id) return
    // The end of the one before may not have been read yet.
    if (before !== undefined) this.#end(before, 'another connection took its place')
    this.#begin(fd, port, portName, id, peer)
  }

  #drop(portName: string): void {
    const port = this.#lasting.get(portName)
    if (port === undefined) return
    const connection = this.#byPort[port]
    if (connection !== undefined) this.#end(connection, 'dropped')
    this.#lasting.delete(portName)
    this.#host.removePort(port)
  }

  #begin(fd: number, port: number, name: string, id: number, peer: string | null): void {
    const connection = this.#enter(fd, port, name, id)
    const descriptors = this.#options.mode === 'given' ? [] : [fd]
    this.#host.portUp(port, { peer, restore: connection.unknownProgress, descriptors })
    if (this.#options.mode === 'connect') this.#upcall({ type: 'connected' })
  }

  #enter(fd: number, port: number, name: string, id: number): Connection {
    const { framing } = this.#options
    const connection = new Connection({ fd, port, name, id }, this.#host, this.#vector, this.#prefixes, framing)
    this.#byFd[fd] = connection
    this.#byPort[port] = connection
    this.#count++
    this.#host.watch(this, fd)
    return connection
  }

  #end(connection: Connection, reason: string): void {
    const { port, name, id } = connection
    if (this.#lasting.has(name)) this.#host.portDown(port, { peer: null, restore: null, descriptors: [] })
    this.#close(connection)
    if (this.#options.mode === 'given') this.#upcall({ type: 'ended', id, reason })
    if (this.#options.mode === 'connect') this.#upcall({ type: 'idle', error: reason, wasUp: true })
  }

  /** Lets go of the connection, and of its port if that was made for it. */
  #close({ fd, port, name, reader }: Connection): void {
    this.#byFd[fd] = undefined
    this.#byPort[port] = undefined
    this.#count--
    reader.close()
    if (!this.#lasting.has(name)) this.#host.removePort(port)
    this.#host.unwatch(fd)
    if (this.#options.mode === 'given') return
    closeSocket(fd)
    this.#share.give()
  }

  /** Makes a port that there must be; throws when the switch has no place for it. */
  #fixedPort(name: string): void {
    if (!this.#lasting.has(name)) this.#lasting.set(name, this.#host.needPort(this, this.#describe(name)))
  }

  /** -1 when the switch has no place for it. */
  #lastingPort(name: string): number {
    const known = this.#lasting.get(name)
    if (known !== undefined) return known
    const port = this.#host.addPort(this, this.#describe(name))
    if (port >= 0) this.#lasting.set(name, port)
    return port
  }

  /**
   * Ports of the data plane before this one, and their connections as far as it could say how far they were. Returns
   * the ids of given connections that are over.
   */
  #restorePorts(): Set<number> {
    const options = this.#options
    const given = new Map(options.mode === 'given' ? options.connections.map(each => [each.portName, each.id]) : [])
    const over = new Set<number>()
    for (const { index, name, up, restore } of this.#spec.ports) {
      const record = up ? (restore as ConnectionRestore) : null
      this.#host.restorePort(this, this.#describe(name), index)
      if (this.#manyPorts ? record === null : !this.#mayStay(name, given)) {
        this.#host.removePort(index)
        continue
      }
      if (!this.#manyPorts) this.#lasting.set(name, index)
      if (record === null || (options.mode === 'given' && given.get(name) !== record.id)) continue
      if (!this.#restore(record, index, name)) over.add(record.id)
    }
    return over
  }

  /** Of the ports of given connections, those that wait for one and those that have one. */
  #mayStay(name: string, given: ReadonlyMap<string, number>): boolean {
    const options = this.#options
    return options.mode !== 'given' || given.has(name) || options.lasting?.includes(name) === true
  }

  #restore({ fd, id, progress }: ConnectionRestore, port: number, name: string): boolean {
    const connection = this.#enter(fd, port, name, id)
    if (this.#options.mode !== 'given') this.#share.hold()
    this.#host.portRestored(port)
    if (progress !== null) {
      connection.resume(progress)
      return true
    }
    this.#host.countDrop(this.#spec.index, 'cut-off')
    this.#end(connection, 'the data plane was replaced in the middle of a frame')
    return false
  }

  #upcall(upcall: StreamUpcall): void {
    this.#host.send(this.#spec.name, { ...upcall })
  }

  #describe(name: string): EndpointPort {
    const { policy, staticAddresses, portKind } = this.#options
    return { name, transport: this.#spec.name, kind: portKind, policy, staticAddresses }
  }
}
