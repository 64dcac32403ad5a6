/**
 * A peer in a process of its own, so that it can be killed as a VM is: without a word, its socket file left behind.
 * Binds, sends one broadcast so that the switch knows it, says so, and answers every frame with one to whoever sent it.
 *
 *     node peer-process.js '{"path": "...", "mac": "...", "options": {...}}'
 */
import { rmSync } from 'node:fs'
import { BROADCAST, frame } from './frames.js'
import { sourceOf } from './numbered.js'
import { RawPeer, type RawPeerOptions } from './raw-peer.js'

export interface PeerProcessSettings {
  path: string
  mac: string
  options: RawPeerOptions
}

/** Against living for ever when nobody ends it. Milliseconds. */
const lifetime = 60_000

const { path, mac, options } = JSON.parse(process.argv[2] as string) as PeerProcessSettings
rmSync(path, { force: true })
const peer = RawPeer.bind(path, options)
await peer.send(frame(BROADCAST, mac))
process.stdout.write('ready\n')
const end = performance.now() + lifetime
while (performance.now() < end) {
  const request = await peer.receive(lifetime)
  await peer.send(frame(sourceOf(request), mac))
}
