/**
 * Where port policies become arrays. Policies are written by people and change rarely; frames come by the million. So
 * all that follows from a policy is worked out here when it changes, and the frame path only indexes: by port where the
 * answer is a number, by class of ingress port where the answer is a list of ports.
 *
 * Ports fall into few classes, and ports of one class flood to one shared list:
 *
 *     open        floods to every port
 *     isolated    floods to the open ports only (split horizon: two isolated ports never reach each other)
 *
 * Sharing makes adding a port O(ports); a list for every ingress port would make it O(ports squared). The price is that
 * a list contains the ingress port itself and the caller skips it.
 */
export interface PortPolicy {
  /** Bytes, Ethernet header and tag included, FCS not; 0 = the switch's. The smaller of both counts, in and out. */
  maxFrameSize: number
  /** FDB entries; 0 = the switch's limit per port. */
  maxEntries: number
  /** An isolated port exchanges frames with ports that are not isolated, with no other. */
  isolated: boolean
}

export const PortClass = { absent: 0, open: 1, isolated: 2 } as const

export class PolicyTable {
  /** By port: the longest frame it may send or get; 0 where there is no port. */
  readonly maxFrameSize: Int32Array
  /** By port: FDB entries it may hold. */
  readonly maxEntries: Int32Array
  /** By port: one of `PortClass`. */
  readonly portClass: Uint8Array
  /** By class of the ingress port: where a flood goes. */
  floodTargets: readonly Int32Array[] = []
  readonly #policies: (PortPolicy | undefined)[]
  #maxFrameSize: number
  #maxEntriesPerPort: number

  constructor(maxPorts: number, maxFrameSize: number, maxEntriesPerPort: number) {
    this.maxFrameSize = new Int32Array(maxPorts)
    this.maxEntries = new Int32Array(maxPorts)
    this.portClass = new Uint8Array(maxPorts)
    this.#policies = new Array<PortPolicy | undefined>(maxPorts).fill(undefined)
    this.#maxFrameSize = maxFrameSize
    this.#maxEntriesPerPort = maxEntriesPerPort
    this.#compileFloods()
  }

  has(port: number): boolean {
    return this.#policies[port] !== undefined
  }

  /** Sets or, with undefined, removes one port's policy. */
  set(port: number, policy: PortPolicy | undefined): void {
    const before = this.portClass[port]
    this.#policies[port] = policy && { ...policy }
    this.#compilePort(port)
    if (this.portClass[port] !== before) this.#compileFloods()
  }

  setLimits(maxFrameSize: number, maxEntriesPerPort: number): void {
    this.#maxFrameSize = maxFrameSize
    this.#maxEntriesPerPort = maxEntriesPerPort
    for (let port = 0; port < this.#policies.length; port++) this.#compilePort(port)
  }

  #compilePort(port: number): void {
    const policy = this.#policies[port]
    if (policy === undefined) {
      this.portClass[port] = PortClass.absent
      this.maxFrameSize[port] = 0
      this.maxEntries[port] = 0
      return
    }
    this.portClass[port] = policy.isolated ? PortClass.isolated : PortClass.open
    this.maxFrameSize[port] = Math.min(policy.maxFrameSize || this.#maxFrameSize, this.#maxFrameSize)
    this.maxEntries[port] = policy.maxEntries || this.#maxEntriesPerPort
  }

  #compileFloods(): void {
    const every: number[] = []
    const open: number[] = []
    for (let port = 0; port < this.portClass.length; port++) {
      if (this.portClass[port] !== PortClass.absent) every.push(port)
      if (this.portClass[port] === PortClass.open) open.push(port)
    }
    const floods: Int32Array[] = []
    floods[PortClass.absent] = new Int32Array(0)
    floods[PortClass.open] = Int32Array.from(every)
    floods[PortClass.isolated] = Int32Array.from(open)
    this.floodTargets = floods
  }
}
