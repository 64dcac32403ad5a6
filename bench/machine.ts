/**
 * Where a benchmark runs: the machine it names above every table, and the network namespace it makes for itself.
 *
 * An unconnected AF_UNIX datagram socket accepts `net.unix.max_dgram_qlen` datagrams before its senders have to wait.
 * The kernel's default is 10, systemd sets 512, and throughput depends on it. The limit belongs to the network
 * namespace in which a socket is made, so as root the benchmark moves into a namespace of its own, sets the limit
 * there, and leaves the machine's setting alone. Without root it runs with what the machine has. Either way the table
 * says which.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { cpus, loadavg, release } from 'node:os'

const marker = 'TAPSWITCH_BENCH_NAMESPACE'
const qlenFile = '/proc/sys/net/unix/max_dgram_qlen'

/** Datagrams; undefined where the kernel has no such limit. */
export function queueLimit(): number | undefined {
  return existsSync(qlenFile) ? Number(readFileSync(qlenFile, 'utf8')) : undefined
}

/**
 * Runs the rest of the program in a network namespace with this queue limit. Returns there; in the process that called
 * it first, it never returns: that one waits, passes signals on and exits with the other's status.
 */
export async function enterNamespace(qlen: number): Promise<void> {
  if (process.env[marker] || process.platform !== 'linux' || process.getuid?.() !== 0) return
  if (spawnSync('unshare', ['-n', 'true'], { timeout: 10_000 }).status !== 0) return
  const script = `ip link set lo up; echo "$0" > ${qlenFile} && exec "$@"`
  const args = ['-n', 'sh', '-c', script, String(qlen), process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const child = spawn('unshare', args, { stdio: 'inherit', env: { ...process.env, [marker]: '1' } })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      process.exitCode = signal ? 1 : (code ?? 1)
      resolve()
    })
  })
  process.exit()
}

/** One paragraph: what was run, where and when. */
export function heading(command: string): string {
  const where = process.env[marker] ? 'own network namespace' : "the machine's own"
  const facts = [
    `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores`,
    `${process.platform} ${release()}`,
    `Node ${process.version}`,
    `max_dgram_qlen ${queueLimit() ?? 'none'} (${where})`,
    `load average before the run ${loadavg()[0].toFixed(2)}`,
  ]
  return `    ${command}\n\n${facts.join('; ')}.\n`
}
