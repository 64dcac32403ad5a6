/** busybox's DHCP client in a test VM: what it gets is set up on eth0, and told. */
import type { Vm } from './vm.js'

const script = `#!/bin/sh
case "$1" in
  deconfig) ip address flush dev "$interface";;
  bound|renew)
    ip address replace "$ip/$mask" dev "$interface"
    [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
    [ -n "$router" ] && ip route replace default via "$router"
    echo "nameserver $dns" > /tmp/resolv.conf
    echo "$ip $router $dns $lease" > /tmp/lease;;
esac
`

export interface Lease {
  address: string
  router: string
  dns: string
  leaseSeconds: number
}

/** Asks for an address and sets it up. Rejects when nobody gives one. */
export async function askForAddress(vm: Vm): Promise<Lease> {
  await vm.sh(`cat > /tmp/dhcp.sh <<'END'\n${script}END\nchmod +x /tmp/dhcp.sh`)
  const output = await vm.sh('udhcpc -q -n -i eth0 -t 10 -T 1 -O mtu -s /tmp/dhcp.sh && cat /tmp/lease')
  const [address, router, dns, leaseSeconds] = (output.trim().split('\n').at(-1) as string).split(' ')
  return { address, router, dns, leaseSeconds: Number(leaseSeconds) }
}
