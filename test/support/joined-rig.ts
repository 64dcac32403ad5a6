/** A real data plane in its own thread, with joined ports and nothing else. */
import type { DataPlane } from '#src/dataplane/data-plane.js'
import { createOs } from '#src/os/os.js'
import { type JoinedPort, JoinedPorts } from '#src/transports/stream/joined.js'
import { replaceDataPlane, roomyDataPlane } from './data-plane.js'
import { recordingLogger } from './recording-logger.js'
import { until } from './until.js'

export class JoinedRig {
  readonly log = recordingLogger()
  readonly dataPlane: DataPlane
  readonly joined: JoinedPorts

  constructor({ maxFrameSize = 1518, queueFrames = 512, lasting = [] as string[] } = {}) {
    const os = createOs()
    this.dataPlane = roomyDataPlane(os, this.log, maxFrameSize)
    const policy = { maxFrameSize, maxEntries: 0, isolated: false, queueFrames }
    this.joined = new JoinedPorts(
      { name: 'web', kind: 'websocket', policy, lasting },
      {
        os,
        log: this.log,
        contain: callback => {
          callback()
          return true
        },
        send: message => {
          this.dataPlane
            .command({ type: 'endpoint', name: 'web', message })
            .catch(error => this.log.error(String(error)))
        },
      },
    )
    this.dataPlane.on('event', event => {
      if (event.type === 'endpoint') this.joined.message(event.message)
    })
  }

  async start(): Promise<void> {
    await this.dataPlane.start()
    await this.dataPlane.attach('web', () => this.joined.spec(0))
  }

  /** A port whose frames are kept, oldest first. Resolves when it is up. */
  async open(peer: string, name?: string): Promise<{ port: JoinedPort; received: Uint8Array[] }> {
    const received: Uint8Array[] = []
    const port = this.joined.open(peer, { onFrame: frame => received.push(frame) }, name)
    await until(() => this.record(port.name)?.up === true, `${port.name} is up`)
    return { port, received }
  }

  record(name: string) {
    return [...this.dataPlane.ports.values()].find(port => port.name === name)
  }

  counters(name: string) {
    return this.dataPlane.counters.readPort(this.record(name)?.index ?? -1)
  }

  replace(how: 'planned' | 'crash'): Promise<void> {
    return replaceDataPlane(this.dataPlane, how)
  }

  async stop(): Promise<void> {
    await this.dataPlane.stop()
    this.joined.close()
  }
}
