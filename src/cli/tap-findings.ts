/** What doctor says of TAPs: whether one can be made here, and whether the programs of each mode are there. */
import { join } from 'node:path'
import { installAdvice, type Program, SYSTEM_FOLDERS } from '../tap/programs.js'
import type { Finding } from './findings.js'
import { hasCapability, type Machine } from './machine.js'

const needs: readonly { program: Program; forWhat: string }[] = [
  { program: 'ip', forWhat: 'addresses and bridges' },
  { program: 'nft', forWhat: 'mode: shared' },
  { program: 'dnsmasq', forWhat: 'DHCP and DNS' },
  { program: 'setpriv', forWhat: 'DHCP and DNS' },
]

export function tapFindings(machine: Machine): Finding[] {
  return [device(machine), programs(machine)]
}

function device(machine: Machine): Finding {
  const name = 'tap'
  if (!machine.isAccessible('/dev/net/tun')) {
    const mend = 'modprobe tun; in a container: --device /dev/net/tun --cap-add NET_ADMIN'
    return { name, status: 'warn', text: '/dev/net/tun cannot be opened; type: tap needs it', mend }
  }
  const text = '/dev/net/tun can be opened'
  if (!hasCapability(machine, 'CAP_NET_ADMIN')) {
    const alone = `only a TAP made for this user can be attached to (sudo ip tuntap add dev tap0 mode tap user ${machine.uid})`
    return { name, status: 'ok', text: `${text}; without root ${alone}` }
  }
  const elsewhere = hasCapability(machine, 'CAP_SYS_ADMIN')
    ? ''
    : ', but not in another network namespace (CAP_SYS_ADMIN)'
  return { name, status: 'ok', text: `${text}; this user may make TAPs (CAP_NET_ADMIN)${elsewhere}` }
}

function programs(machine: Machine): Finding {
  const name = 'tap programs'
  const missing = needs.filter(({ program }) => !isInstalled(machine, program))
  if (missing.length === 0) {
    return { name, status: 'ok', text: `${needs.map(({ program }) => program).join(', ')} are installed` }
  }
  const text = missing.map(({ program, forWhat }) => `${program} is not installed; type: tap needs it for ${forWhat}`)
  return {
    name,
    status: 'warn',
    text: text.join('; '),
    mend: missing.map(({ program }) => installAdvice(program)).join('; '),
  }
}

function isInstalled(machine: Machine, program: Program): boolean {
  return SYSTEM_FOLDERS.some(folder => machine.stat(join(folder, program)) !== undefined)
}
