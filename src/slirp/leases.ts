/**
 * DHCP leases that outlive the slirp process.
 *
 * libslirp gives the first free of its sixteen addresses and binds it to the client's MAC address for as long as it
 * lives; it has no call to enter a lease. So the process looks at the acknowledgements that libslirp sends and tells
 * the switch, which remembers them. When the process starts again, it enters them by the way a client would: a
 * DHCPREQUEST that asks for the address (RFC 2131 section 4.3.2, INIT-REBOOT), before any frame of a guest. libslirp's
 * bootp.c then binds the address to the MAC address and enters both in its ARP table, so that forwards find the guest
 * too; its answers are dropped.
 */
import { slirpLeases } from '../config/interfaces/slirp-leases.js'
import { formatMac, highOf, lowOf, macHigh, macLow, parseMac, SOURCE } from '../wire/ethernet.js'
import { formatIpv4, parseIpv4 } from '../wire/ip-address.js'

export interface Lease {
  /** Lower case, with colons. */
  readonly mac: string
  /** Dotted. */
  readonly address: string
}

const IP = 14
const UDP = IP + 20
const BOOTP = UDP + 8
const OPTIONS = BOOTP + 240
const UDP_PROTOCOL = 17
const SERVER_PORT = 67
const CLIENT_PORT = 68
const OPTION_REQUESTED = 50
const OPTION_TYPE = 53
const OPTION_END = 255
const REQUEST = 3
const ACK = 5

/** Looks at frames that libslirp sends. */
export class LeaseWatch {
  readonly #told = new Map<string, string>()
  readonly #given: (lease: Lease) => void

  constructor(given: (lease: Lease) => void) {
    this.#given = given
  }

  /** One that the switch knows. */
  remember({ mac, address }: Lease): void {
    this.#told.set(address, mac)
  }

  /** A frame for the guests; a byte is looked at in most of them. */
  look(bytes: Uint8Array, at: number, length: number): void {
    if (bytes[at + IP + 9] !== UDP_PROTOCOL || length < OPTIONS + 3) return
    const from = (bytes[at + UDP] << 8) | bytes[at + UDP + 1]
    const to = (bytes[at + UDP + 2] << 8) | bytes[at + UDP + 3]
    if (from !== SERVER_PORT || to !== CLIENT_PORT) return
    // libslirp writes the message type as the first option (bootp.c).
    if (bytes[at + OPTIONS] !== OPTION_TYPE || bytes[at + OPTIONS + 2] !== ACK) return
    const mac = macText(bytes, at + BOOTP + 28)
    const address = formatIpv4(new DataView(bytes.buffer, bytes.byteOffset + at + BOOTP + 16, 4).getUint32(0))
    if (this.#told.get(address) === mac) return
    this.#told.set(address, mac)
    this.#given({ mac, address })
  }
}

/** The frame that a client sends to get an address that it had. */
export function requestFrame({ mac, address }: Lease): Uint8Array {
  const frame = new Uint8Array(OPTIONS + 10)
  const view = new DataView(frame.buffer)
  const client = macBytes(mac)
  frame.fill(0xff, 0, 6)
  frame.set(client, SOURCE)
  view.setUint16(12, 0x0800)
  frame[IP] = 0x45
  view.setUint16(IP + 2, frame.length - IP)
  frame[IP + 8] = 64
  frame[IP + 9] = UDP_PROTOCOL
  view.setUint32(IP + 16, 0xffff_ffff)
  view.setUint16(IP + 10, checksum(view, IP, 20))
  view.setUint16(UDP, CLIENT_PORT)
  view.setUint16(UDP + 2, SERVER_PORT)
  view.setUint16(UDP + 4, frame.length - UDP)
  // BOOTREQUEST, Ethernet, addresses of 6 bytes.
  frame.set([1, 1, 6], BOOTP)
  frame.set(client, BOOTP + 28)
  view.setUint32(BOOTP + 236, 0x6382_5363)
  frame.set([OPTION_TYPE, 1, REQUEST, OPTION_REQUESTED, 4], OPTIONS)
  view.setUint32(OPTIONS + 5, parseIpv4(address) as number)
  frame[OPTIONS + 9] = OPTION_END
  return frame
}

/** What the switch remembers of one interface. */
export class Leases {
  readonly #first: number
  readonly #byAddress = new Map<string, Lease>()

  constructor(dhcpStart: string) {
    this.#first = parseIpv4(dhcpStart) as number
  }

  /** What the process says; it may say anything. False: it is not a lease that this interface can give. */
  remember(lease: Lease): boolean {
    const address = typeof lease?.address === 'string' ? parseIpv4(lease.address) : undefined
    const mac = typeof lease?.mac === 'string' ? parseMac(lease.mac) : undefined
    if (mac === undefined || address === undefined) return false
    if (address < this.#first || address >= this.#first + slirpLeases) return false
    // Sixteen addresses bound the map; a station may hold several, as libslirp lets it.
    this.#byAddress.set(formatIpv4(address), { mac: formatMac(highOf(mac), lowOf(mac)), address: formatIpv4(address) })
    return true
  }

  list(): readonly Lease[] {
    return [...this.#byAddress.values()]
  }
}

const macText = (bytes: Uint8Array, at: number) => formatMac(macHigh(bytes, at), macLow(bytes, at))

function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(':').map(part => Number.parseInt(part, 16)))
}

function checksum(view: DataView, at: number, length: number): number {
  let sum = 0
  for (let i = 0; i < length; i += 2) sum += view.getUint16(at + i)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
