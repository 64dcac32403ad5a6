/** Starts peer-process.ts and kills it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { PeerProcessSettings } from './peer-process.js'
import { spawnBound } from './spawn.js'

const program = join(import.meta.dirname, 'peer-process.js')

export interface KillablePeer {
  /** SIGKILL; resolves when the process is gone. May be called again. */
  kill9(): Promise<void>
}

/** Resolves when the peer has sent its first frame. */
export async function startPeer(settings: PeerProcessSettings): Promise<KillablePeer> {
  const child = spawnBound(process.execPath, [program, JSON.stringify(settings)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'close')
  const kill9 = async () => {
    child.kill('SIGKILL')
    await exited
  }
  const lines = createInterface({ input: child.stdout as Readable })
  const [line] = await Promise.race([once(lines, 'line', { signal: AbortSignal.timeout(10_000) }), exited])
  if (line !== 'ready') await kill9()
  assert.equal(line, 'ready')
  return { kill9 }
}
