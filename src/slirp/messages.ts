/** What the main thread and the slirp thread say to each other; as with the data plane, a descriptor wakes the sleeper. */
import type { MessagePort } from 'node:worker_threads'
import type { Forward } from '../config/forwards.js'
import type { SlirpConfig } from '../config/interfaces/slirp.js'

export interface SlirpWorkerData {
  readonly config: SlirpConfig
  readonly shared: SharedArrayBuffer
  /** The stack's end of the socketpair. */
  readonly linkFd: number
  readonly wakeFd: number
  readonly port: MessagePort
}

export type SlirpCommand =
  /** Another socketpair: the data plane at the far end is another, or was out of step. */
  | { readonly type: 'join'; readonly fd: number }
  | { readonly type: 'add-forward'; readonly forward: Forward }
  | { readonly type: 'remove-forward'; readonly forward: Pick<Forward, 'protocol' | 'host'> }
  | { readonly type: 'stop' }

export interface SlirpRequest {
  readonly id: number
  readonly command: SlirpCommand
}

/** Every command is answered, in order. `error` is negated, as the system calls return it. */
export type SlirpReply =
  | { readonly type: 'started'; readonly version: string }
  | { readonly type: 'reply'; readonly id: number; readonly result: SlirpResult }

export type SlirpResult = { readonly ok: boolean } | { readonly error: number } | { readonly refusal: string }
