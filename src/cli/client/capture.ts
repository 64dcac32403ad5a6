/**
 * `tapswitch capture`: frames as they pass, in a file that Wireshark and tcpdump read, or into a pipe to them. The switch writes the file; this
 * only carries it.
 */
import { createWriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UsageError } from '../../errors.js'
import type { Output } from '../output.js'
import type { ApiClient } from './api-client.js'
import { findPort } from './show.js'

export interface CaptureOptions {
  readonly port?: string
  readonly snaplen?: string
  readonly seconds?: string
  readonly filter?: string
  /** `-` is stdout. */
  readonly write: string
}

/** Ends with the capture. The signal ends that: the switch writes the end of the file, and what it missed. */
export async function capture(
  api: ApiClient,
  options: CaptureOptions,
  output: Output,
  stdout: Writable & { isTTY?: boolean },
  signal: AbortSignal,
): Promise<void> {
  const toStdout = options.write === '-'
  if (toStdout && stdout.isTTY === true) {
    throw new UsageError('a capture is no text for a terminal: write it with -w FILE, or pipe it into "tshark -r -"')
  }
  const query = new URLSearchParams()
  if (options.port !== undefined) query.set('port', String((await findPort(api, options.port)).id))
  for (const name of ['snaplen', 'seconds', 'filter'] as const) {
    const value = options[name]
    if (value !== undefined) query.set(name, value)
  }
  const response = await api.stream(`/v1/capture?${query}`)
  const target = toStdout ? stdout : createWriteStream(options.write, { mode: 0o600 })
  const end = () =>
    void api.call('DELETE', `/v1/captures/${response.headers['tapswitch-capture']}`).catch(() => response.destroy())
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })
  if (!toStdout) output.err(`capturing to ${options.write}; end with Ctrl-C`)
  try {
    await pipeline(response, target, { end: !toStdout })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // The reader of the pipe had enough.
    if (code !== 'EPIPE') throw error
  }
}
