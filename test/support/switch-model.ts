/**
 * What the switch is to do, written as plainly as possible: maps, loops, strings. Slow, and meant to be read beside the
 * rules.
 */
import type { PortPolicy, SwitchLimits } from '#src/switch/switch.js'

interface Entry {
  port: number
  static: boolean
  lastSeen: number
}

export class SwitchModel {
  readonly ports = new Map<number, PortPolicy>()
  readonly fdb = new Map<string, Entry>()
  readonly heard: string[] = []
  learned = 0
  moved = 0
  aged = 0
  refused = 0
  limits: SwitchLimits
  readonly #maxEntries: number

  constructor(limits: SwitchLimits, maxEntries: number) {
    this.limits = limits
    this.#maxEntries = maxEntries
  }

  forward(frame: { to: string; from: string; length: number }, ingress: number, now: number): string {
    const { to, from, length } = frame
    if (length < 14) return 'runt'
    if (length > this.maxFrameSize(ingress)) return 'oversize'
    if (isGroup(from) || from === '00:00:00:00:00:00') return 'invalid-source'
    this.#learn(from, ingress, now)
    if (to.startsWith('01:80:c2:00:00:0')) return 'reserved-destination'
    if (to === 'ff:ff:ff:ff:ff:ff') return 'broadcast'
    if (isGroup(to)) return 'multicast'
    const entry = this.#valid(to, now)
    if (entry === undefined) return 'unknown'
    if (entry.port === ingress) return 'same-port'
    if (this.ports.get(ingress)?.isolated && this.ports.get(entry.port)?.isolated) return 'isolated'
    return `port ${entry.port}`
  }

  floodTargets(ingress: number): number[] {
    const all = [...this.ports].sort(([a], [b]) => a - b)
    return all.filter(([, policy]) => !(policy.isolated && this.ports.get(ingress)?.isolated)).map(([port]) => port)
  }

  maxFrameSize(port: number): number {
    const policy = this.ports.get(port)
    if (policy === undefined) return 0
    return Math.min(policy.maxFrameSize || Number.POSITIVE_INFINITY, this.limits.maxFrameSize)
  }

  sweep(now: number): void {
    for (const [mac, entry] of this.fdb) {
      if (entry.static || now - entry.lastSeen <= this.limits.ageingMs) continue
      this.fdb.delete(mac)
      this.aged++
    }
  }

  flush(which: (entry: Entry) => boolean): number {
    const gone = [...this.fdb].filter(([, entry]) => which(entry))
    for (const [mac] of gone) this.fdb.delete(mac)
    return gone.length
  }

  /** In a full table one learned address makes place; `isThere` says which are left, as any of them may. */
  addStatic(mac: string, port: number, now: number, isThere: (mac: string) => boolean): boolean {
    this.fdb.delete(mac)
    if (this.fdb.size >= this.#maxEntries) {
      const learned = [...this.fdb].filter(([, entry]) => !entry.static).map(([address]) => address)
      if (learned.length === 0) return false
      const gone = learned.filter(address => !isThere(address))
      if (gone.length !== 1) throw new Error(`${gone.length} learned addresses made place for one`)
      this.fdb.delete(gone[0] as string)
    }
    this.fdb.set(mac, { port, static: true, lastSeen: now })
    return true
  }

  entriesOf(port: number): number {
    return [...this.fdb.values()].filter(entry => entry.port === port).length
  }

  #learn(mac: string, port: number, now: number): void {
    const entry = this.#valid(mac, now)
    if (entry?.port === port) {
      entry.lastSeen = now
      return
    }
    const full = this.entriesOf(port) >= (this.ports.get(port)?.maxEntries || this.limits.maxEntriesPerPort)
    if (entry?.static || full || (entry === undefined && this.fdb.size >= this.#maxEntries)) {
      this.refused++
    } else if (entry !== undefined) {
      this.moved++
      this.heard.push(`moved ${mac} ${entry.port}->${port}`)
      this.fdb.set(mac, { port, static: false, lastSeen: now })
    } else {
      if (this.fdb.delete(mac)) this.aged++
      this.learned++
      this.heard.push(`learned ${mac} ${port}`)
      this.fdb.set(mac, { port, static: false, lastSeen: now })
    }
  }

  #valid(mac: string, now: number): Entry | undefined {
    const entry = this.fdb.get(mac)
    return entry && (entry.static || now - entry.lastSeen <= this.limits.ageingMs) ? entry : undefined
  }
}

const isGroup = (mac: string) => Number.parseInt(mac.slice(0, 2), 16) % 2 === 1
