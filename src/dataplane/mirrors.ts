/**
 * Ports that receive copies of what passes at others, for an operator who watches there with a program of their own (the mirror
 * or SPAN port of a hardware switch). A mirror port watches ports by name, all those of a transport, or every one. It
 * gets each frame once, however many of the ports it watches the frame came from or goes to, also those that the switch
 * refused. It takes no part in the switch itself: nothing is flooded to it, and what it sends is dropped as
 * `port-down`.
 *
 * Who copies to whom is worked out when a port comes, goes or changes; while there is no mirror port, a frame costs one
 * look at `active`.
 */
import type { Egress, Frames } from './egress.js'

/** Every other port. */
export const EVERY_PORT = '*'

interface Watched {
  readonly name: string
  readonly transport: string
  /** Names of ports or transports; null for a port that is no mirror. */
  readonly mirrors: readonly string[] | null
}

export class Mirrors {
  /** True while some port is a mirror. */
  active = false
  readonly #ports: (Watched | null)[]
  /** By port index: the mirrors that watch it. */
  #watchers: (readonly number[])[]
  /** By port index: bytes of the longest frame it takes, for mirrors. */
  readonly #maxFrameSize: Int32Array
  /** By mirror: the last run of frames it got. */
  readonly #copied: Float64Array
  #run = 0

  constructor(maxPorts: number) {
    this.#ports = new Array(maxPorts).fill(null)
    this.#watchers = new Array(maxPorts).fill([])
    this.#maxFrameSize = new Int32Array(maxPorts)
    this.#copied = new Float64Array(maxPorts)
  }

  /** A port that is new, or has changed. */
  set(index: number, port: Watched, maxFrameSize: number): void {
    const before = this.#ports[index]
    this.#ports[index] = port
    this.#maxFrameSize[index] = maxFrameSize
    if (this.active || port.mirrors !== null || before?.mirrors) this.#workOut()
  }

  /** Nothing is copied to a mirror at whose other end nobody is. */
  remove(index: number): void {
    this.#ports[index] = null
    if (this.active) this.#workOut()
  }

  /** Starts on the next run of frames, which came in at `ingress`. */
  begin(egress: Egress, frames: Frames, first: number, count: number, ingress: number): void {
    this.#run++
    this.copy(egress, frames, first, count, ingress)
  }

  /** Copies the run to those who watch `port`, unless they have it. */
  copy(egress: Egress, frames: Frames, first: number, count: number, port: number): void {
    const watchers = this.#watchers[port]
    for (let i = 0; i < watchers.length; i++) {
      const mirror = watchers[i]
      if (this.#copied[mirror] === this.#run) continue
      this.#copied[mirror] = this.#run
      egress.stage(mirror, frames, first, count, this.#maxFrameSize)
    }
  }

  #workOut(): void {
    const mirrors = this.#ports.flatMap((port, index) => (port?.mirrors ? [{ index, names: port.mirrors }] : []))
    this.active = mirrors.length > 0
    this.#watchers = this.#ports.map((port, index) => {
      // Two mirrors that watch each other would copy for ever.
      if (port === null || port.mirrors !== null) return []
      const watches = ({ names }: { names: readonly string[] }) =>
        names.includes(EVERY_PORT) || names.includes(port.name) || names.includes(port.transport)
      return mirrors.filter(mirror => mirror.index !== index && watches(mirror)).map(mirror => mirror.index)
    })
  }
}
