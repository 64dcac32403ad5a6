/**
 * An IPv4 host as small as it can be, behind a raw peer: asks and answers ARP (RFC 826) and ICMP echo (RFC 792). What a
 * VM sees of another VM that is pinged.
 */
import assert from 'node:assert/strict'
import { BROADCAST, macOf, putMac } from './frames.js'
import { destinationOf, sourceOf } from './numbered.js'
import type { RawPeer } from './raw-peer.js'

const ETHERTYPE_AT = 12
const PAYLOAD_AT = 14
const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_ARP = 0x0806
const arp = { operation: 20, senderMac: 22, senderIp: 28, targetMac: 32, targetIp: 38, size: 42, request: 1, reply: 2 }
const ip = { checksum: 24, protocol: 23, source: 26, destination: 30, icmp: 1 }
const icmp = { at: 34, checksum: 36, sequence: 40, data: 42, size: 98, echo: 8, reply: 0 }

export class Station {
  readonly #peer: RawPeer
  readonly #mac: string
  readonly #ip: string
  #stopped = false

  constructor(peer: RawPeer, mac: string, ip: string) {
    this.#peer = peer
    this.#mac = mac
    this.#ip = ip
  }

  /** Says that it is there, so that the switch and everybody on it knows. */
  announce(): Promise<void> {
    return this.#peer.send(this.#arp(arp.request, BROADCAST, this.#ip))
  }

  /** The MAC address that has an IP address. Rejects when nobody says. */
  async resolve(address: string, timeoutMs = 5000): Promise<string> {
    await this.#peer.send(this.#arp(arp.request, BROADCAST, address))
    const isReply = (bytes: Uint8Array) =>
      typeOf(bytes) === ETHERTYPE_ARP &&
      bytes[arp.operation + 1] === arp.reply &&
      ipText(bytes, arp.senderIp) === address
    return sourceOf(await this.#next(isReply, timeoutMs))
  }

  /** Sends an echo request and resolves with the sequence number of its reply. */
  async ping(mac: string, address: string, sequence: number, timeoutMs = 5000): Promise<void> {
    await this.#peer.send(this.#echo(icmp.echo, mac, address, sequence))
    const isReply = (bytes: Uint8Array) =>
      isIcmp(bytes, icmp.reply) && ipText(bytes, ip.source) === address && sequenceOf(bytes) === sequence
    const reply = await this.#next(isReply, timeoutMs)
    assert.equal(destinationOf(reply), this.#mac)
    assert.equal(checksum(reply.subarray(icmp.at)), 0, 'the reply came whole')
  }

  /** Answers until `stopServing`. Returns how many echo requests it answered. */
  async serve(timeoutMs = 30_000): Promise<number> {
    const deadline = performance.now() + timeoutMs
    let answered = 0
    this.#stopped = false
    while (!this.#stopped && performance.now() < deadline) {
      const bytes = await this.#peer.receive(100).catch(() => undefined)
      if (bytes === undefined) continue
      if (this.#answersArp(bytes)) {
        await this.#peer.send(this.#arp(arp.reply, sourceOf(bytes), ipText(bytes, arp.senderIp)))
      } else if (isIcmp(bytes, icmp.echo) && ipText(bytes, ip.destination) === this.#ip) {
        await this.#peer.send(answerOf(bytes))
        answered++
      }
    }
    return answered
  }

  stopServing(): void {
    this.#stopped = true
  }

  async #next(isWanted: (bytes: Uint8Array) => boolean, timeoutMs: number): Promise<Uint8Array> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const bytes = await this.#peer.receive(Math.max(1, deadline - performance.now()))
      if (isWanted(bytes)) return bytes
      if (this.#answersArp(bytes)) {
        await this.#peer.send(this.#arp(arp.reply, sourceOf(bytes), ipText(bytes, arp.senderIp)))
      }
    }
  }

  #answersArp(bytes: Uint8Array): boolean {
    return (
      typeOf(bytes) === ETHERTYPE_ARP &&
      bytes[arp.operation + 1] === arp.request &&
      ipText(bytes, arp.targetIp) === this.#ip &&
      sourceOf(bytes) !== this.#mac
    )
  }

  #arp(operation: number, destination: string, target: string): Uint8Array {
    const bytes = this.#ethernet(destination, ETHERTYPE_ARP, arp.size)
    bytes.set([0, 1, 8, 0, 6, 4, 0, operation], PAYLOAD_AT)
    putMac(bytes, arp.senderMac, macOf(this.#mac))
    putIp(bytes, arp.senderIp, this.#ip)
    if (operation === arp.reply) putMac(bytes, arp.targetMac, macOf(destination))
    putIp(bytes, arp.targetIp, target)
    return bytes
  }

  #echo(type: number, destination: string, target: string, sequence: number): Uint8Array {
    const bytes = this.#ethernet(destination, ETHERTYPE_IPV4, icmp.size)
    const length = icmp.size - PAYLOAD_AT
    bytes.set([0x45, 0, length >> 8, length & 255, 0, 0, 0x40, 0, 64, ip.icmp], PAYLOAD_AT)
    putIp(bytes, ip.source, this.#ip)
    putIp(bytes, ip.destination, target)
    put16(bytes, ip.checksum, checksum(bytes.subarray(PAYLOAD_AT, icmp.at)))
    bytes[icmp.at] = type
    put16(bytes, icmp.sequence, sequence)
    bytes.fill(0x5a, icmp.data)
    put16(bytes, icmp.checksum, checksum(bytes.subarray(icmp.at)))
    return bytes
  }

  #ethernet(destination: string, type: number, size: number): Uint8Array {
    const bytes = new Uint8Array(size)
    putMac(bytes, 0, macOf(destination))
    putMac(bytes, 6, macOf(this.#mac))
    put16(bytes, ETHERTYPE_AT, type)
    return bytes
  }
}

/** The same echo, sent back: addresses swapped, which leaves the IP checksum as it is. */
function answerOf(request: Uint8Array): Uint8Array {
  const bytes = request.slice()
  bytes.set(request.subarray(6, 12), 0)
  bytes.set(request.subarray(0, 6), 6)
  bytes.set(request.subarray(ip.source, ip.source + 4), ip.destination)
  bytes.set(request.subarray(ip.destination, ip.destination + 4), ip.source)
  bytes[icmp.at] = icmp.reply
  put16(bytes, icmp.checksum, 0)
  put16(bytes, icmp.checksum, checksum(bytes.subarray(icmp.at)))
  return bytes
}

/** The Internet checksum (RFC 1071); 0 over data that contains its own. */
function checksum(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8
  bytes[at + 1] = value & 255
}

function putIp(bytes: Uint8Array, at: number, address: string): void {
  bytes.set(address.split('.').map(Number), at)
}

const typeOf = (bytes: Uint8Array) => ((bytes[ETHERTYPE_AT] ?? 0) << 8) | (bytes[ETHERTYPE_AT + 1] ?? 0)
const ipText = (bytes: Uint8Array, at: number) => bytes.subarray(at, at + 4).join('.')
const sequenceOf = (bytes: Uint8Array) => ((bytes[icmp.sequence] ?? 0) << 8) | (bytes[icmp.sequence + 1] ?? 0)
const isIcmp = (bytes: Uint8Array, type: number) =>
  typeOf(bytes) === ETHERTYPE_IPV4 && bytes[ip.protocol] === ip.icmp && bytes[icmp.at] === type
