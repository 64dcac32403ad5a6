/**
 * `tapswitch capture`: frames as they pass, in a file that Wireshark and tcpdump read, or into a pipe to them. The
 * switch makes the file; the command copies it. Whatever goes wrong on the way, the file that is left is a valid one.
 */
import type { IncomingMessage } from 'node:http'
import type { Writable } from 'node:stream'
import { OperatorError, UsageError } from '../../errors.js'
import type { Output } from '../output.js'
import type { ApiClient } from './api-client.js'
import { type CaptureSink, fileSink, streamSink } from './capture-sink.js'
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
  const sink = toStdout ? streamSink(stdout) : await fileSink(options.write)
  const response = await api.stream(`/v1/capture?${query}`).catch(async error => {
    await sink.close()
    throw error
  })
  const end = () =>
    void api.call('DELETE', `/v1/captures/${response.headers['tapswitch-capture']}`).catch(() => response.destroy())
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })
  if (!toStdout) output.err(`capturing to ${options.write}; end with Ctrl-C`)
  const lost = await carry(response, sink).catch(async error => {
    await sink.close().catch(() => {})
    throw error
  })
  const bytes = await sink.close()
  if (lost !== null && !signal.aborted) {
    const kept = toStdout ? 'the capture ends here' : `${options.write} holds what came until then, ${bytes} bytes`
    throw new OperatorError(`the connection to the switch at ${api.url} broke off (${lost}): ${kept}`)
  }
}

/** Copies the file; returns why the connection ended when it ended too early, null otherwise. */
async function carry(response: IncomingMessage, sink: CaptureSink): Promise<string | null> {
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      // Leaving the loop ends the connection, and so the capture.
      if (!(await sink.write(chunk))) return null
    }
    return null
  } catch (error) {
    if (error instanceof OperatorError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'ECONNRESET' ? 'the switch went away' : message
  }
}
