/** nginx, Caddy or HAProxy in the foreground, without root and without a file outside the folder of the test. */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { eventually } from './eventually.js'
import { spawnBound } from './spawn.js'

export type ProxyProgram = 'nginx' | 'caddy' | 'haproxy'

export interface RunningProxy {
  /** Resolves when it has ended. */
  stop(): Promise<void>
}

interface Place {
  readonly folder: string
  /** Takes the place of port 443 in the configuration. */
  readonly port: number
}

/** `configuration` as docs/proxies.md has it: for nginx what is inside `http`. Resolves when it listens. */
export async function startProxy(program: ProxyProgram, configuration: string, place: Place): Promise<RunningProxy> {
  const { folder, port } = place
  const file = join(folder, `${program}.conf`)
  writeFileSync(file, whole[program](configuration, place))
  const [check, args] = {
    nginx: [
      ['-t', '-q', '-c', file, '-e', 'stderr'],
      ['-c', file, '-e', 'stderr'],
    ],
    caddy: [
      ['validate', '--adapter', 'caddyfile', '--config', file],
      ['run', '--adapter', 'caddyfile', '--config', file],
    ],
    haproxy: [
      ['-c', '-q', '-f', file],
      ['-db', '-f', file],
    ],
  }[program] as [string[], string[]]
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  execFileSync(program, check, { env, stdio: 'pipe' })
  const child = spawnBound(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr?.on('data', bytes => {
    said = (said + bytes).slice(-4000)
  })
  const stop = () => end(child)
  try {
    const look = () => {
      if (child.exitCode !== null) throw new Error(`${program} ended`)
      return accepts(port)
    }
    await eventually(look, isThere => isThere, `${program} listens on ${port}`)
  } catch (error) {
    await stop()
    throw new Error(`${(error as Error).message}\n${said}`)
  }
  return { stop }
}

/** What surrounds the example in a file of the program. */
const whole: Record<ProxyProgram, (configuration: string, place: Place) => string> = {
  nginx: (configuration, { folder, port }) => {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      what => `${what}_temp_path ${join(folder, `nginx-${what}`)};`,
    )
    const inside = configuration.replaceAll('listen 443', `listen 127.0.0.1:${port}`)
    return `daemon off;\nmaster_process off;\npid ${join(folder, 'nginx.pid')};\nevents {}\nhttp {\naccess_log off;\n${temporary.join('\n')}\n${inside}}\n`
  },
  caddy: (configuration, { port }) =>
    `{\n\tadmin off\n\tauto_https disable_redirects\n}\n${configuration.replace('switch.example {', `https://switch.example:${port} {\n\tbind 127.0.0.1`)}`,
  haproxy: (configuration, { port }) => configuration.replace('bind :443', `bind 127.0.0.1:${port}`),
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
}
