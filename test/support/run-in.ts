/** Programs in a namespace that the test has to go on beside, e.g. to answer what they ask. */

import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Netns } from './netns.js'

export interface Result {
  output: string
  status: number | null
}

/** Output and exit status of a program in the namespace. */
export async function runIn(netns: Netns, command: string, ...args: string[]): Promise<Result> {
  const child = netns.spawn(command, ...args)
  const [output, errors, [status]] = await Promise.all([
    text(child.stdout as Readable),
    text(child.stderr as Readable),
    once(child, 'close') as Promise<[number | null]>,
  ])
  return { output: output + errors, status }
}

/** What an HTTP API in the namespace answers; its loopback is not ours. */
export async function getJson<Value>(netns: Netns, url: string): Promise<Value> {
  const { output, status } = await runIn(netns, 'busybox', 'wget', '-q', '-O', '-', url)
  if (status !== 0) throw new Error(`GET ${url}: ${output}`)
  return JSON.parse(output) as Value
}
