/**
 * A Prometheus server of the test's own: data in the lab's folder, a port the system chose on loopback, ended by
 * `close`.
 */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { eventually } from './eventually.js'
import { spawnBound } from './spawn.js'

const startTimeoutMs = 30_000

export interface Sample {
  metric: Record<string, string>
  /** Seconds since 1970, and the value as text. */
  value: [number, string]
}

export class Prometheus {
  readonly url: string
  readonly #child: ChildProcess

  /** @param dataFolder is made by Prometheus, and left behind */
  static async start(configFile: string, dataFolder: string): Promise<Prometheus> {
    const args = [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${dataFolder}`,
      '--web.listen-address=127.0.0.1:0',
    ]
    const child = spawnBound('prometheus', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const log: string[] = []
    const address = await new Promise<string>((resolve, reject) => {
      const fail = () => reject(new Error(`Prometheus did not start:\n${log.join('\n')}`))
      const timer = setTimeout(fail, startTimeoutMs)
      child.once('error', fail).once('exit', fail)
      createInterface({ input: child.stderr as Readable }).on('line', line => {
        log.push(line)
        const found = /msg="Listening on" address=(\S+)/.exec(line)?.[1]
        if (found === undefined) return
        clearTimeout(timer)
        resolve(found)
      })
    }).catch(error => {
      child.kill('SIGKILL')
      throw error
    })
    const started = new Prometheus(child, `http://${address}`)
    await eventually(
      () => fetch(`${started.url}/-/ready`).then(({ status }) => status),
      status => status === 200,
      'Prometheus is ready',
      startTimeoutMs,
    )
    return started
  }

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.url = url
  }

  /** An instant query; at the time now unless told. */
  async query(expression: string, atSeconds = Date.now() / 1000): Promise<Sample[]> {
    const { result } = (await this.get('query', { query: expression, time: String(atSeconds) })) as { result: Sample[] }
    return result
  }

  /** The value of an expression that has exactly one. */
  async value(expression: string, atSeconds?: number): Promise<number> {
    const samples = await this.query(expression, atSeconds)
    assert.equal(samples.length, 1, `${expression}: ${JSON.stringify(samples)}`)
    return Number((samples[0] as Sample).value[1])
  }

  /** `data` of an answer of its HTTP API. */
  async get(what: string, parameters: Record<string, string> = {}): Promise<unknown> {
    const response = await fetch(`${this.url}/api/v1/${what}?${new URLSearchParams(parameters)}`, {
      signal: AbortSignal.timeout(10_000),
    })
    const answer = (await response.json()) as { status: string; error?: string; data: unknown }
    assert.equal(answer.status, 'success', `${JSON.stringify(parameters)}: ${answer.error}`)
    return answer.data
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }
}
