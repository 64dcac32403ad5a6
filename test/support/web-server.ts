/** A web server in a namespace: busybox httpd on a folder with one file. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Netns } from './netns.js'
import { until } from './until.js'

export interface WebServer {
  readonly url: string
  /** Of the file behind the URL. */
  readonly sha256: string
  stop(): void
}

export async function startWebServer(netns: Netns, address: string, port: number, bytes: number): Promise<WebServer> {
  const folder = mkdtempSync(join(tmpdir(), 'tapswitch-web-'))
  const content = randomBytes(bytes)
  writeFileSync(join(folder, 'file'), content)
  const server = netns.spawn('busybox', 'httpd', '-f', '-p', `${address}:${port}`, '-h', folder)
  const url = `http://${address}:${port}/file`
  const stop = () => {
    server.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await until(() => netns.succeeds('busybox', 'wget', '-q', '-O', '/dev/null', url), `${url} answers`)
  } catch (error) {
    stop()
    throw error
  }
  return { url, sha256: createHash('sha256').update(content).digest('hex'), stop }
}
