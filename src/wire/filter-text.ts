/**
 * What a filter expression must not be before libpcap sees it.
 *
 * libpcap looks names up: `host vm.example` asks the resolver, which may take seconds and tells a name server what is
 * being looked for; networks and MAC addresses by name read files. Expressions come from clients of the API, so only
 * names of services and protocols pass, which are in files of the machine. libpcap calls anything a name that is
 * neither a number, an address nor a word of its language, and what a name stands for is said by the last word before
 * it, across `and`, `or`, `not` and parentheses: `port http or (domain)`.
 *
 * So this file cuts the text as libpcap's scanner does (scanner.l) and remembers the last word. It must see at least
 * the names that libpcap sees: a word that it does not know is a name.
 *
 * The time and the stack that libpcap takes grow with the square of the number of words: 8 s for 1,024 characters of
 * port ranges. The limits keep that to about a second; a process of its own contains the rest (os/filter-compiler.ts).
 */
import { FilterError } from './bpf.js'
import { parseIpv6 } from './ip-address.js'

/** Characters; libpcap itself has no limit. */
export const MAX_FILTER_LENGTH = 1024
/** Words, numbers and addresses. */
export const MAX_FILTER_WORDS = 128
/** Parentheses and brackets that are open at once, and `not` in a row. */
const MAX_DEPTH = 64

/** Names after these words are looked up in files only: services(5), protocols(5) and libpcap's own tables. */
const nameTakers = new Set(['port', 'portrange', 'proto', 'protochain'])

// `llc rr` has names of its own, right after the word.

/** Words that leave the meaning of a following name as it is. */
const connectives = new Set(['and', 'or', 'not'])

/** Every other word of the language (pcap-filter(7)) that is a word in libpcap 1.8 as well. */
const languageWords = new Set(
  [
    'src dst host net mask gateway ether link fddi tr wlan ppp slip less greater len length broadcast multicast inbound outbound',
    'arp rarp ip ip6 tcp udp sctp icmp icmp6 igmp igrp pim vrrp carp ah esp atalk aarp decnet lat sca moprc mopdl iso esis es-is',
    'isis is-is l1 l2 iih lsp snp csnp psnp clnp stp ipx netbeui vlan mpls pppoed pppoes geneve llc radio type subtype dir',
    'icmptype icmpcode icmp-echoreply icmp-unreach icmp-sourcequench icmp-redirect icmp-echo icmp-routeradvert icmp-routersolicit',
    'icmp-timxceed icmp-paramprob icmp-tstamp icmp-tstampreply icmp-ireq icmp-ireqreply icmp-maskreq icmp-maskreply',
    'icmp6type icmp6code icmp6-echo icmp6-echoreply icmp6-multicastlistenerquery icmp6-multicastlistenerreportv1',
    'icmp6-multicastlistenerdone icmp6-routersolicit icmp6-routeradvert icmp6-neighborsolicit icmp6-neighboradvert icmp6-redirect',
    'icmp6-destinationunrach icmp6-packettoobig icmp6-timeexceeded icmp6-parameterproblem icmp6-routerrenum',
    'icmp6-nodeinformationquery icmp6-nodeinformationresponse icmp6-ineighbordiscoverysolicit icmp6-ineighbordiscoveryadvert',
    'icmp6-multicastlistenerreportv2 icmp6-homeagentdiscoveryrequest icmp6-homeagentdiscoveryreply icmp6-mobileprefixsolicit',
    'icmp6-mobileprefixadvert icmp6-certpathsolicit icmp6-certpathadvert icmp6-multicastrouteradvert',
    'icmp6-multicastroutersolicit icmp6-multicastrouterterm',
    'ra ta addr1 addr2 addr3 addr4 address1 address2 address3 address4 on ifname reason rset ruleset action vpi vci oam sio opc dpc sls',
    'tcpflags tcp-fin tcp-syn tcp-rst tcp-push tcp-ack tcp-urg tcp-ece tcp-cwr',
  ]
    .join(' ')
    .split(' '),
)

/** `10`, `0x1f`, `10.0`, `10.0.0.1`. */
const number = /^(\d+|0[xX][0-9a-fA-F]+|\d{1,3}(\.\d{1,3}){1,3})$/
const mac = /^([0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}|[0-9a-fA-F]{1,2}([-.])([0-9a-fA-F]{1,2}\3){4}[0-9a-fA-F]{1,2})$/
const dottedMac = /^[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}$/
/** An escaped name, a word with colons, or one other character. */
const tokens = /\\[^\s!()]+|[-_.:A-Za-z0-9]+|[^\s]/g

/** @throws FilterError with what is wrong, when the expression is too long or has a name that libpcap would look up */
export function checkFilterText(expression: string): void {
  if (expression.length > MAX_FILTER_LENGTH) throw new FilterError(`more than ${MAX_FILTER_LENGTH} characters`)
  if (!/^[\t\n\r\x20-\x7e]*$/.test(expression)) throw new FilterError('only printable ASCII characters are allowed')
  let last = ''
  let previous = ''
  let depth = 0
  let nots = 0
  let words = 0
  for (const [token] of expression.matchAll(tokens)) {
    if (token === '(' || token === '[') depth++
    else if (token === ')' || token === ']') depth--
    nots = token === '!' || token === 'not' ? nots + 1 : token === '(' ? nots : 0
    if (depth > MAX_DEPTH || nots > MAX_DEPTH) {
      throw new FilterError(`more than ${MAX_DEPTH} levels of parentheses, brackets or "not"`)
    }
    for (const word of wordsOf(token)) {
      if (++words > MAX_FILTER_WORDS)
        throw new FilterError(`more than ${MAX_FILTER_WORDS} words, numbers and addresses`)
      const isPlain = connectives.has(word) || number.test(word)
      if (languageWords.has(word) || nameTakers.has(word)) last = word
      else if (!isPlain && !nameTakers.has(last) && previous !== 'llc') throw new FilterError(nameRefused(word))
    }
    previous = token
  }
}

/** What libpcap may take for words in a token: none in an address, several in `6:2`. */
function wordsOf(token: string): string[] {
  if (token.startsWith('\\')) return [token]
  if (mac.test(token) || dottedMac.test(token)) return ['0']
  if (token.includes(':') && parseIpv6(token) !== undefined) return ['0']
  return token
    .split(':')
    .map(part => part.replace(/^[-_.]+|[-_]+$/g, ''))
    .filter(part => /[A-Za-z0-9]/.test(part))
}

function nameRefused(word: string): string {
  return (
    `"${word}" is neither a number, an address nor a word of pcap-filter(7); names of hosts and networks are not looked up, ` +
    'names of services and protocols stand right after port, portrange or proto'
  )
}
