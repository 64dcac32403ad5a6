/** Calls `bench/c/load.c`, where the options and phases are explained, and types what it prints. */
import { Child } from './child.js'
import { compile } from './compile.js'

export type PeerKind = 'qemu' | 'vfkit' | 'vde' | 'stream' | 'udp' | 'vxlan'

/** One phase as the receiver saw it. Times in nanoseconds where they say so, else seconds. */
export interface Phase {
  phase: string
  seconds: number
  sent: number
  received: number
  lost: number
  /** CPU time of the watched process within the window, all threads. */
  cpuSeconds: number
  /** Of the watched process when the window ended. */
  residentKiB: number
  latencyNs: { p50: number; p90: number; p99: number; p999: number; max: number }
}

export interface LoadOptions {
  kind: PeerKind
  /** One path, or the sender's and the receiver's. */
  to: string[]
  /** Where the peers make their own sockets. */
  directory: string
  size: number
  phases: string[]
  /** The forwarder's pid. */
  watch: number
  settle?: number
  warmup?: number
  seconds?: number
  cpuSend?: number | undefined
  cpuReceive?: number | undefined
}

/** Runs the phases in turn. Rejects when no frame comes through, or when it takes far longer than it should. */
export async function load(options: LoadOptions): Promise<Phase[]> {
  const { settle = 0.5, warmup = 0.5, seconds = 2 } = options
  const args = ['--kind', options.kind, '--dir', options.directory, '--size', String(options.size)]
  for (const path of options.to) args.push('--to', path)
  args.push('--watch', String(options.watch), '--settle', String(settle))
  args.push('--warmup', String(warmup), '--seconds', String(seconds))
  if (options.cpuSend !== undefined) args.push('--cpu-send', String(options.cpuSend))
  if (options.cpuReceive !== undefined) args.push('--cpu-receive', String(options.cpuReceive))
  const child = await Child.start(compile('load'), [...args, ...options.phases])
  const counted = options.phases.filter(phase => phase.startsWith('frames=')).length
  const limitSeconds = 15 + settle + options.phases.length * (warmup + seconds + 6) + counted * 600
  try {
    const answer = JSON.parse(await child.finished(limitSeconds * 1000)) as { phases: Phase[] }
    return answer.phases
  } finally {
    await child.stop()
  }
}

export function framesPerSecond(phase: Phase): number {
  return phase.received / phase.seconds
}
