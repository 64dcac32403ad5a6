/** One stream socket, and where in a frame it is in each direction. */
import type { EndpointHost } from '../../dataplane/endpoint.js'
import type { GatherVector } from '../../os/gather-vector.js'
import { FrameReader } from './frame-reader.js'
import { FrameWriter, type Prefixes } from './frame-writer.js'
import type { FramingName } from './framing.js'
import type { ConnectionRestore, Progress } from './options.js'

export interface ConnectionPlace {
  fd: number
  /** Index and name. */
  port: number
  name: string
  /** Of a given connection, else 0. */
  id: number
}

export class Connection implements Readonly<ConnectionPlace> {
  readonly fd: number
  readonly port: number
  readonly name: string
  readonly id: number
  readonly reader: FrameReader
  readonly writer: FrameWriter

  constructor(
    { fd, port, name, id }: ConnectionPlace,
    host: EndpointHost,
    vector: GatherVector,
    prefixes: Prefixes,
    framing: FramingName,
  ) {
    this.fd = fd
    this.port = port
    this.name = name
    this.id = id
    this.reader = new FrameReader(host.os, host.pool, framing)
    this.writer = new FrameWriter(host.pool, vector, prefixes, framing)
  }

  /** For a data plane that comes without this one having said more. */
  get unknownProgress(): ConnectionRestore {
    return { fd: this.fd, id: this.id, progress: null }
  }

  /** `head`: the frame that waits first for this port. */
  restore(head: Uint8Array | null): ConnectionRestore {
    return { ...this.unknownProgress, progress: { ...this.reader.partial, output: this.writer.rest(head) } }
  }

  resume({ input, skip, output }: Progress): void {
    this.reader.restore(input, skip)
    this.writer.restore(output)
  }
}
