/**
 * Which frames somebody wants to see, in the words of tcpdump's filters (pcap-filter(7)), as far as they go:
 *
 *     arp   ip   ip6   tcp   udp   icmp   icmp6   broadcast   multicast   vlan [VID]
 *     [src|dst] host ADDRESS     [src|dst] net ADDRESS/BITS     [tcp|udp] [src|dst] port NUMBER
 *     ether [src|dst] [host] MAC     ether proto NUMBER     less BYTES     greater BYTES
 *     not, and, or, parentheses; also !, &&, ||
 *
 * Unlike there, a tag hides nothing: `arp` also matches ARP within a VLAN. `host` and `net` also look into ARP. An expression
 * becomes a function of a frame once; `and` binds closer than `or`.
 */
import { DESTINATION, isBroadcast, isGroup, macHigh, macLow, parseMac, SOURCE } from './ethernet.js'
import { EtherType, Headers, IpProtocol, word } from './headers.js'
import { parseIpv4, parseIpv6 } from './ip-address.js'

/** Whether a frame matches. */
export type FrameFilter = (bytes: Uint8Array, offset: number, length: number) => boolean

/** What is wrong with an expression, in one sentence. */
export class FilterError extends Error {
  override readonly name = 'FilterError'
}

/** Characters; far more than anybody writes by hand. */
export const MAX_FILTER_LENGTH = 1024
const MAX_DEPTH = 64

type Test = (bytes: Uint8Array, offset: number, length: number, headers: Headers) => boolean
type Direction = 'src' | 'dst' | 'either'

/** @throws FilterError */
export function compileFilter(expression: string): FrameFilter {
  if (expression.length > MAX_FILTER_LENGTH) throw new FilterError(`more than ${MAX_FILTER_LENGTH} characters`)
  const parser = new Parser(expression.match(/\(|\)|!|&&|\|\||[^\s()!&|]+|\S/g) ?? [])
  const test = parser.whole()
  const headers = new Headers()
  return (bytes, offset, length) => {
    headers.parse(bytes, offset, length)
    return test(bytes, offset, length, headers)
  }
}

const protocols: Readonly<Record<string, Test>> = {
  arp: (_bytes, _offset, _length, { etherType }) => etherType === EtherType.arp,
  ip: (_bytes, _offset, _length, { etherType }) => etherType === EtherType.ipv4,
  ip6: (_bytes, _offset, _length, { etherType }) => etherType === EtherType.ipv6,
  tcp: (_bytes, _offset, _length, { protocol }) => protocol === IpProtocol.tcp,
  udp: (_bytes, _offset, _length, { protocol }) => protocol === IpProtocol.udp,
  icmp: (_bytes, _offset, _length, { etherType, protocol }) =>
    etherType === EtherType.ipv4 && protocol === IpProtocol.icmp,
  icmp6: (_bytes, _offset, _length, { protocol }) => protocol === IpProtocol.icmp6,
  broadcast: (bytes, offset, length) =>
    length >= 6 && isBroadcast(macHigh(bytes, offset + DESTINATION), macLow(bytes, offset + DESTINATION)),
  multicast: (bytes, offset, length) => length >= 6 && isGroup(macHigh(bytes, offset + DESTINATION)),
}

class Parser {
  readonly #words: readonly string[]
  #at = 0
  #depth = 0

  constructor(words: readonly string[]) {
    this.#words = words
  }

  whole(): Test {
    const test = this.#or()
    if (this.#at < this.#words.length) throw new FilterError(`"${this.#words[this.#at]}" is not expected here`)
    return test
  }

  #or(): Test {
    let left = this.#and()
    while (this.#take('or', '||')) {
      const [first, second] = [left, this.#and()]
      left = (...frame) => first(...frame) || second(...frame)
    }
    return left
  }

  #and(): Test {
    let left = this.#not()
    while (this.#take('and', '&&')) {
      const [first, second] = [left, this.#not()]
      left = (...frame) => first(...frame) && second(...frame)
    }
    return left
  }

  #not(): Test {
    if (++this.#depth > MAX_DEPTH) throw new FilterError(`more than ${MAX_DEPTH} levels of "not" and parentheses`)
    const test = this.#take('not', '!') ? negated(this.#not()) : this.#take('(') ? this.#group() : this.#primitive()
    this.#depth--
    return test
  }

  #group(): Test {
    const test = this.#or()
    if (!this.#take(')')) throw new FilterError('a ")" is missing')
    return test
  }

  #primitive(): Test {
    const first = this.#next()
    if (first === 'ether') return this.#ether()
    if (first === 'vlan') return this.#vlan()
    if (first === 'less' || first === 'greater') return this.#size(first)
    if (first === 'tcp' || first === 'udp') return this.#transport(first)
    if (Object.hasOwn(protocols, first)) return protocols[first]
    const direction = first === 'src' || first === 'dst' ? first : 'either'
    const kind = direction === 'either' ? first : this.#next()
    if (kind === 'host') return hostTest(direction, addressOf(this.#next()))
    if (kind === 'net') return hostTest(direction, networkOf(this.#next()))
    if (kind === 'port') return portTest(direction, numberOf(this.#next(), 0, 65_535))
    throw new FilterError(
      `"${kind}" is not one of host, net, port, ether, vlan, less, greater, ${Object.keys(protocols).join(', ')}`,
    )
  }

  #transport(name: 'tcp' | 'udp'): Test {
    const word = this.#words[this.#at]
    const next = this.#words[this.#at + 1]
    const isPort = word === 'port' || ((word === 'src' || word === 'dst') && next === 'port')
    if (!isPort) return protocols[name]
    const [protocol, port] = [protocols[name], this.#primitive()]
    return (...frame) => protocol(...frame) && port(...frame)
  }

  #ether(): Test {
    const first = this.#next()
    if (first === 'proto') {
      const wanted = numberOf(this.#next(), 0, 0xffff)
      return (_bytes, _offset, _length, { etherType }) => etherType === wanted
    }
    if (first === 'broadcast' || first === 'multicast') return protocols[first]
    const direction: Direction = first === 'src' || first === 'dst' ? first : 'either'
    let text = direction === 'either' ? first : this.#next()
    if (text === 'host') text = this.#next()
    const mac = parseMac(text)
    if (mac === undefined) throw new FilterError(`"${text}" is not a MAC address such as 52:54:00:12:34:56`)
    return etherTest(direction, mac)
  }

  #vlan(): Test {
    if (!/^\d/.test(this.#words[this.#at] ?? '')) return (_bytes, _offset, _length, { vid }) => vid >= 0
    const wanted = numberOf(this.#next(), 0, 4095)
    return (_bytes, _offset, _length, { vid }) => vid === wanted
  }

  #size(which: 'less' | 'greater'): Test {
    const bound = numberOf(this.#next(), 0, 65_535)
    return which === 'less'
      ? (_bytes, _offset, length) => length <= bound
      : (_bytes, _offset, length) => length >= bound
  }

  #take(...words: string[]): boolean {
    if (!words.includes(this.#words[this.#at])) return false
    this.#at++
    return true
  }

  #next(): string {
    const word = this.#words[this.#at++]
    if (word === undefined) throw new FilterError('the expression ends too early')
    return word
  }
}

interface Network {
  /** 4 or 16. */
  readonly address: Uint8Array
  readonly bits: number
}

function negated(test: Test): Test {
  return (...frame) => !test(...frame)
}

function etherTest(direction: Direction, mac: number): Test {
  const high = Math.floor(mac / 2 ** 32)
  const low = mac | 0
  const isAt = (bytes: Uint8Array, at: number) => macHigh(bytes, at) === high && macLow(bytes, at) === low
  return (bytes, offset, length) =>
    length >= 12 &&
    ((direction !== 'dst' && isAt(bytes, offset + SOURCE)) ||
      (direction !== 'src' && isAt(bytes, offset + DESTINATION)))
}

function portTest(direction: Direction, port: number): Test {
  return (bytes, _offset, _length, { ports }) =>
    ports >= 0 &&
    ((direction !== 'dst' && word(bytes, ports) === port) || (direction !== 'src' && word(bytes, ports + 2) === port))
}

function hostTest(direction: Direction, network: Network): Test {
  const isIpv4 = network.address.length === 4
  const matches = (bytes: Uint8Array, source: number, destination: number) =>
    (direction !== 'dst' && isWithin(bytes, source, network)) ||
    (direction !== 'src' && isWithin(bytes, destination, network))
  return (bytes, _offset, _length, { etherType, ip, arp }) => {
    if (isIpv4 && arp >= 0) return matches(bytes, arp + 14, arp + 24)
    if (ip < 0 || (etherType === EtherType.ipv4) !== isIpv4) return false
    return isIpv4 ? matches(bytes, ip + 12, ip + 16) : matches(bytes, ip + 8, ip + 24)
  }
}

function isWithin(bytes: Uint8Array, at: number, { address, bits }: Network): boolean {
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) if (bytes[at + i] !== address[i]) return false
  const rest = bits & 7
  return rest === 0 || (bytes[at + whole] ^ address[whole]) >> (8 - rest) === 0
}

function addressOf(text: string): Network {
  const ipv4 = parseIpv4(text)
  const address = ipv4 === undefined ? parseIpv6(text) : Uint8Array.of(ipv4 >>> 24, ipv4 >>> 16, ipv4 >>> 8, ipv4)
  if (address === undefined) throw new FilterError(`"${text}" is not an IP address`)
  return { address, bits: address.length * 8 }
}

function networkOf(text: string): Network {
  const [before, after, ...more] = text.split('/')
  const { address, bits } = addressOf(before)
  if (more.length > 0) throw new FilterError(`"${text}" is not a network such as 10.0.0.0/8`)
  return { address, bits: after === undefined ? bits : numberOf(after, 0, bits) }
}

function numberOf(text: string, least: number, most: number): number {
  const value = /^(\d{1,6}|0x[0-9a-f]{1,4})$/i.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new FilterError(`"${text}" is not a whole number from ${least} to ${most}`)
}
