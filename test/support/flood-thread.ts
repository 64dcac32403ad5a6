/**
 * A sender at full speed, in a thread of its own. Its first frame goes out when the thread starts; the flood begins and
 * ends by shared words: word 0 is 1 while it is to go on and -1 at the end, word 1 counts frames in hundreds that were
 * taken from it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { RawPeer } from './raw-peer.js'
import { StreamPeer } from './stream-peer.js'
import { UdpPeer, type UdpPeerOptions } from './udp-peer.js'
import { WebSocketPeer } from './websocket-peer.js'

export interface FloodSettings {
  words: SharedArrayBuffer
  frame: Uint8Array
  kind: 'udp' | 'unixgram' | 'stream' | 'websocket'
  /** Address or path that it sends from, where that is its own choice. */
  from: string
  /** Address, path or URL. */
  sendTo: string
  /** With UDP: in front of each frame. */
  header?: Uint8Array
  /** With UDP: a new socket, so another source port, for each frame. */
  changing?: boolean
  /** With UDP: a member of the group `sendTo` by the interface that has the address `from`. */
  isMember?: boolean
}

const BURST = 64
const IDLE_MS = 5
/** Against going on for ever when the test was ended. */
const LIFETIME_MS = 120_000

const { words, frame, kind, from, sendTo, header, changing = false, isMember = false } = workerData as FloodSettings
const shared = new Int32Array(words)
const burst = Array.from({ length: BURST }, () => frame)

interface Sender {
  /** Returns how many were taken. */
  send(frames: readonly Uint8Array[]): number | Promise<number>
  close(): unknown
}

async function open(): Promise<Sender> {
  if (kind === 'stream' || kind === 'websocket') {
    const peer = await (kind === 'stream' ? StreamPeer.connect({ path: sendTo }) : WebSocketPeer.connect(sendTo))
    const send = async (frames: readonly Uint8Array[]) => {
      await peer.send(frames)
      peer.receiveNow()
      return frames.length
    }
    return { send, close: () => (peer instanceof StreamPeer ? peer.leave() : peer.ws.terminate()) }
  }
  const options: UdpPeerOptions = { sendTo, maxFrameSize: 2048, ...(header === undefined ? {} : { header }) }
  if (isMember) {
    const member = UdpPeer.join(sendTo, from, options)
    return { send: frames => member.sendNow(frames).count, close: () => member.close() }
  }
  const peer = kind === 'unixgram' ? RawPeer.bind(from, { sendTo }) : UdpPeer.bind(from, options)
  const send = (frames: readonly Uint8Array[]) => peer.sendNow(frames).count
  return { send, close: () => peer.close() }
}

let sender = await open()
await sender.send([frame])
parentPort?.postMessage('ready')
let sent = 0
for (const end = performance.now() + LIFETIME_MS; performance.now() < end; ) {
  const phase = Atomics.load(shared, 0)
  if (phase < 0) break
  if (phase === 0) {
    Atomics.wait(shared, 0, 0, IDLE_MS)
    continue
  }
  if (changing) {
    sender.close()
    sender = await open()
  }
  sent += await sender.send(changing ? [frame] : burst)
  Atomics.store(shared, 1, Math.floor(sent / 100))
}
sender.close()
