import assert from 'node:assert/strict'
import type { Vm } from './vm.js'

export interface TransferOptions {
  from: Vm
  to: Vm
  /** Of `to`. */
  address: string
  bytes: number
  timeoutMs?: number
}

export interface TransferResult {
  bytes: number
  /** As the sender sees it, until the receiver has read everything. */
  seconds: number
  megabitsPerSecond: number
  /** TCP segments the sender sent again: frames lost on the way, or acknowledgements that came too late. */
  retransmitted: number
}

interface NetbenchReport {
  bytes: number
  seconds: number
  checksum: string
}

/** Moves bytes over one TCP connection from VM to VM, and fails unless both ends agree on their number and checksum. */
export async function transfer({
  from,
  to,
  address,
  bytes,
  timeoutMs = 120_000,
}: TransferOptions): Promise<TransferResult> {
  const before = await retransmitted(from)
  const port = 5001
  const [received, sent] = (await Promise.all([
    to.sh(`netbench tcp-receive ${port}`, { timeoutMs }),
    from.sh(`netbench tcp-send ${address} ${port} ${bytes}`, { timeoutMs }),
  ]).then(lines => lines.map(line => JSON.parse(line)))) as [NetbenchReport, NetbenchReport]
  assert.equal(received.bytes, sent.bytes)
  assert.equal(received.checksum, sent.checksum)
  return {
    bytes: sent.bytes,
    seconds: sent.seconds,
    megabitsPerSecond: (sent.bytes * 8) / sent.seconds / 1e6,
    retransmitted: (await retransmitted(from)) - before,
  }
}

/** TCP segments this VM has sent again since it booted (RetransSegs of RFC 2012). */
async function retransmitted(vm: Vm): Promise<number> {
  const [names = '', values = ''] = (await vm.sh('cat /proc/net/snmp'))
    .split('\n')
    .filter(line => line.startsWith('Tcp:'))
  return Number(values.split(' ')[names.split(' ').indexOf('RetransSegs')])
}
