/** From counters, looked at about once a second, to rates over the last minutes. */
import type { Port } from './api.js'

/** Looks that are kept: five minutes of them. */
export const HISTORY = 300

export interface Rates {
  /** For each second. */
  inFrames: number
  outFrames: number
  inBits: number
  outBits: number
  drops: number
}

export const noRates: Rates = { inFrames: 0, outFrames: 0, inBits: 0, outBits: 0, drops: 0 }

interface Look {
  /** Seconds since 1970. */
  time: number
  rates: Map<number, Rates>
}

export class History {
  #before: { time: number; ports: Map<number, Port> } | undefined
  #looks: Look[] = []

  /** `time` in seconds since 1970. A port that was not there before has no rates yet. */
  add(ports: readonly Port[], time: number): void {
    const before = this.#before
    this.#before = { time, ports: new Map(ports.map(port => [port.id, port])) }
    if (before === undefined || time <= before.time) return
    const rates = new Map<number, Rates>()
    for (const port of ports) {
      const then = before.ports.get(port.id)
      if (then !== undefined) rates.set(port.id, ratesBetween(then, port, time - before.time))
    }
    this.#looks.push({ time, rates })
    if (this.#looks.length > HISTORY) this.#looks.shift()
  }

  /** Of the last look. */
  now(id: number): Rates {
    return this.#looks.at(-1)?.rates.get(id) ?? noRates
  }

  /** Frames dropped in the last `looks` looks. */
  recentDrops(id: number, looks: number): number {
    return this.#looks.slice(-looks).reduce((sum, { rates }) => sum + (rates.get(id)?.drops ?? 0), 0)
  }

  /** Of all ports together. */
  total(): Rates {
    const sum = { ...noRates }
    for (const rates of this.#looks.at(-1)?.rates.values() ?? []) {
      for (const key of Object.keys(sum) as (keyof Rates)[]) sum[key] += rates[key]
    }
    return sum
  }

  /** Times, and one value for each; null where the port was not there. */
  series(id: number, key: keyof Rates): { times: number[]; values: (number | null)[] } {
    return {
      times: this.#looks.map(({ time }) => time),
      values: this.#looks.map(({ rates }) => rates.get(id)?.[key] ?? null),
    }
  }
}

export function dropsOf({ counters }: Port): number {
  const counts = [...Object.values(counters.receiveDrops), ...Object.values(counters.transmitDrops)]
  return counts.reduce((sum, count) => sum + count, 0)
}

function ratesBetween(then: Port, now: Port, seconds: number): Rates {
  const rate = (of: (port: Port) => number) => Math.max(0, of(now) - of(then)) / seconds
  return {
    inFrames: rate(({ counters }) => counters.receiveFrames),
    outFrames: rate(({ counters }) => counters.transmitFrames),
    inBits: 8 * rate(({ counters }) => counters.receiveBytes),
    outBits: 8 * rate(({ counters }) => counters.transmitBytes),
    drops: rate(dropsOf),
  }
}
