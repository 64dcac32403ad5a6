/** Expressions of pcap-filter(7): some for each of its words, and combinations drawn from a seed. */
import type { Random } from './random.js'

/** What can stand alone. */
export const primitives: readonly string[] = [
  ...[
    'arp',
    'rarp',
    'ip',
    'ip6',
    'tcp',
    'udp',
    'sctp',
    'icmp',
    'icmp6',
    'igmp',
    'igrp',
    'pim',
    'vrrp',
    'carp',
    'ah',
    'esp',
  ],
  ...[
    'atalk',
    'aarp',
    'decnet',
    'lat',
    'moprc',
    'mopdl',
    'iso',
    'esis',
    'isis',
    'clnp',
    'stp',
    'ipx',
    'netbeui',
    'sca',
  ],
  ...['broadcast', 'multicast', 'ether broadcast', 'ether multicast', 'ip broadcast', 'ip multicast', 'ip6 multicast'],
  ...['host 10.0.0.1', 'src host 10.0.0.1', 'dst host 10.0.0.2', 'src 10.0.0.1', 'dst 10.0.0.2', 'src or dst 10.0.0.9'],
  ...[
    'src and dst 10.0.0.1',
    'host 10.0.0.1 or 10.0.0.9',
    'ip host 10.0.0.1',
    'arp host 10.0.0.1',
    'rarp src host 10.0.0.1',
  ],
  ...[
    'ip src 10.0.0.1',
    'ip src host 10.0.0.1',
    'host fd00::1',
    'src host fe80::2',
    'dst fd00::1',
    'ip6 host fd00::2',
    'host 10',
  ],
  ...[
    'net 10',
    'net 10.0',
    'net 10.0.0',
    'net 10.0.0.0/8',
    'src net 10.0.0.0/30',
    'dst net 10.0.0.0/24',
    'net fd00::/16',
  ],
  ...[
    'net 10.0.0.0 mask 255.255.255.0',
    'src net fe80::/10',
    'net 0.0.0.0/0',
    'net 192.168',
    'dst net ff02::/16',
    'arp net 10.0.0.0/30',
  ],
  ...[
    'port 53',
    'src port 80',
    'dst port 443',
    'tcp port 80',
    'udp port 53',
    'sctp port 80',
    'tcp src port 443',
    'udp dst port 53',
  ],
  ...[
    'port 53 or 80',
    'port domain',
    'port http',
    'tcp port http or https',
    'src or dst port 80',
    'src and dst port 53',
  ],
  ...[
    'portrange 50-60',
    'tcp portrange 79-81',
    'src portrange 50-60',
    'udp dst portrange 5000-5100',
    'portrange 80-50',
  ],
  ...[
    'proto 17',
    'ip proto 17',
    'ip6 proto 17',
    'ip proto \\udp',
    'ip proto \\tcp',
    'ip6 proto 58',
    'ip proto 132',
    'ip6 proto 44',
    'proto 2',
  ],
  ...[
    'ether proto 0x88cc',
    'ether proto 0x8100',
    'ether proto 0x88a8',
    'ether proto 0x9100',
    'ether proto 0x0800',
    'ether proto \\ip',
  ],
  ...[
    'ether proto \\arp',
    'ether proto \\ip6',
    'ether proto 0x86dd',
    'ether proto 0x9000',
    'ether proto 0x42',
    'ether proto 66',
  ],
  ...[
    'ether proto 0xfe',
    'ether proto 0xaa',
    'ether proto 0x809b',
    'ether proto 0x80f3',
    'ether proto 0x8137',
    'ether proto 0',
  ],
  ...[
    'ether host 52:54:00:00:00:01',
    'ether src 52:54:0:0:0:2',
    'ether dst host 52:54:00:00:00:01',
    'ether host 5254.0000.0001',
  ],
  ...[
    'ether src 52-54-00-00-00-fe',
    'ether dst 01:80:c2:00:00:0e',
    'ether host ff:ff:ff:ff:ff:ff',
    'wlan host 52:54:00:00:00:01',
  ],
  ...[
    'vlan',
    'vlan 10',
    'vlan 0',
    'vlan 100',
    'vlan and vlan',
    'vlan 100 and vlan 200',
    'vlan and ip',
    'vlan 10 and udp port 53',
  ],
  ...[
    'vlan and host 10.0.0.1',
    'vlan 10 or vlan 100',
    'vlan and vlan and vlan',
    'vlan and ip6',
    'vlan and arp',
    'not vlan',
  ],
  ...[
    'mpls',
    'mpls 5',
    'mpls 1000 and mpls 5',
    'mpls and ip',
    'mpls and host 10.0.0.1',
    'mpls 1024 and ip6',
    'mpls and mpls and udp',
  ],
  ...[
    'pppoed',
    'pppoes',
    'pppoes 1',
    'pppoes and ip',
    'pppoes 5 and tcp port 80',
    'pppoes and ip6',
    'geneve',
    'geneve 10',
  ],
  ...[
    'geneve and ip',
    'geneve 100 and arp',
    'llc',
    'llc i',
    'llc s',
    'llc u',
    'llc rr',
    'llc ui',
    'llc test',
    'llc xid',
  ],
  ...[
    'less 60',
    'greater 1518',
    'len <= 60',
    'len > 1500',
    'len = 42',
    'len != 60',
    'less 14',
    'len >= 9000',
    'greater 9014',
  ],
  ...[
    'ether[0] & 1 = 1',
    'ether[12:2] = 0x800',
    'ether[12:2] < 1536',
    'ip[0] & 0xf != 5',
    'ip[6:2] & 0x1fff = 0',
    'ip[8] > 63',
  ],
  ...[
    'ip[2:2] > 80',
    'icmp[0] = 8',
    'icmp[icmptype] = icmp-echo',
    'icmp[icmptype] == icmp-unreach',
    'icmp[icmpcode] = 1',
  ],
  ...[
    'icmp6[icmp6type] = icmp6-neighborsolicit',
    'icmp6[0] = 135',
    'tcp[13] & 2 != 0',
    'tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn',
  ],
  ...[
    'tcp[tcpflags] = tcp-rst',
    'udp[4:2] = 0',
    'arp[6:2] = 1',
    'ip6[6] = 17',
    'ip6[40:2] = 53',
    'sctp[0:2] = 80',
    'ether[60] = 0',
  ],
  ...[
    'ip[ip[0] & 15] = 1',
    'len - 14 > ip[2:2]',
    'len / 2 = 21',
    'len % 2 = 1',
    'ether[14] * 2 = 138',
    'ether[0] ^ 0x52 = 0',
  ],
  ...[
    'ether[0] << 1 = 164',
    'ether[0] >> 4 = 5',
    'ether[0] + ether[1] > 100',
    'ether[0:4] = 0x52540000',
    '10 > len',
    '-1 = -1',
  ],
  ...[
    'ip[(ip[0] & 15) * 4:2] = 53',
    'ether[ether[12]] = 0',
    'len / ether[5] > 10',
    'len % ether[5] = 0',
    'ether[0 - 1] = 0',
    'len = -1',
  ],
  ...[
    'link proto 0x806',
    'ether[1500] = 0',
    'udp[8:4] = 0',
    'ip proto 51 or 50',
    'ether dst 52:54:00:00:00:01 or 52:54:00:00:00:02',
  ],
]

/**
 * In a combination `geneve` reads scratch memory that its program did not write on every path, which holds anything in
 * tcpdump.
 */
const combinable = primitives.filter(text => !text.includes('geneve'))

/** `count` different expressions: the primitives, and after them combinations. */
export function filterExpressions(random: Random, count: number): string[] {
  const all = new Set(primitives)
  while (all.size < count) all.add(combination(random))
  return [...all].slice(0, count)
}

function combination(random: Random): string {
  let text = operand(random)
  for (let i = random.between(1, 4); i > 0; i--) {
    const joint = random.pick([' and ', ' or ', ' && ', ' || ', ' and not ', ' or not ', ' and !', '||', '&&'])
    text += joint + operand(random)
    if (random.between(0, 3) === 0) text = `${random.pick(['', 'not ', '!', '! '])}(${text})`
  }
  return text
}

function operand(random: Random): string {
  const text = random.pick(combinable)
  return random.between(0, 4) === 0 ? `${random.pick(['', 'not ', '! '])}(${text})` : text
}
