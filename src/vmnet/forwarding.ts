/**
 * Port-forwarding rules of shared mode: who connects to a port of the Mac, at any of its addresses, reaches a guest.
 */
import { isIPv6 } from 'node:net'
import { type Forward, parseForwardEnd } from '../config/forwards.js'
import { forwardProblem } from '../config/interfaces/vmnet-rules.js'
import { OperatorError } from '../errors.js'
import { NativeMemory } from '../os/native-memory.js'
import { formatIpv4, formatIpv6, parseIpv6 } from '../wire/ip-address.js'
import { createBlock } from './blocks.js'
import { answerOf } from './deadline.js'
import type { VmnetLibrary } from './library.js'
import { check } from './status.js'

/** IPPROTO_TCP and IPPROTO_UDP. */
const protocols = { tcp: 6, udp: 17 } as const
/** As macOS numbers them: AF_INET6 is 10 on Linux. */
const families = { ipv4: 2, ipv6: 30 } as const
type Family = keyof typeof families

interface Rule {
  readonly protocol: number
  readonly externalPort: number
  readonly family: Family
  /** In network byte order. */
  readonly address: Uint8Array
  readonly internalPort: number
}

export class VmnetForwarding {
  readonly #library: VmnetLibrary
  readonly #interface: number
  readonly #timeoutMs: number

  constructor(library: VmnetLibrary, interfaceRef: number, timeoutMs: number) {
    this.#library = library
    this.#interface = interfaceRef
    this.#timeoutMs = timeoutMs
  }

  /** Throws VmnetError when vmnet refuses, OperatorError when the forward is not one vmnet can have. */
  async add(forward: Forward): Promise<void> {
    const rule = ruleOf(forward)
    const address = new NativeMemory(16)
    address.bytes.set(rule.address)
    await this.#complete(
      `forward ${forward.host} to ${forward.guest}`,
      handler =>
      this.#library.vmnet.addForward(
        this.#interface, rule.protocol, rule.externalPort, families[rule.family], address.address, rule.internalPort, handler,
      ), // biome-ignore format: the arguments are one tuple
    )
  }

  async remove({ protocol, host }: Pick<Forward, 'protocol' | 'host'>): Promise<void> {
    const problem = forwardProblem({ host })
    if (problem !== undefined) throw new OperatorError(problem)
    const outside = parseForwardEnd(host) as { family: Family; port: number }
    await this.#complete(
      `end the forward of ${host}`,
      handler =>
      this.#library.vmnet.removeForward(
        this.#interface, protocols[protocol], outside.port, families[outside.family], handler,
      ), // biome-ignore format: the arguments are one tuple
    )
  }

  /** What vmnet has now, of both IP versions. */
  async list(): Promise<Forward[]> {
    return [...(await this.#listOf('ipv4')), ...(await this.#listOf('ipv6'))]
  }

  async #complete(what: string, call: (handler: number) => number): Promise<void> {
    const { answer, settle } = answerOf<number>(what, this.#timeoutMs)
    const block = createBlock(this.#library.globalBlockClass, 'u32', settle)
    const status = call(block.address)
    // Refused on the spot: the handler is not called.
    if (status !== 1000) settle(status)
    const answered = await answer
    block.release()
    check(what, answered)
  }

  async #listOf(family: Family): Promise<Forward[]> {
    const what = 'list the forwarded ports'
    const { answer, settle } = answerOf<{ status: number; forwards: Forward[] }>(what, this.#timeoutMs)
    // The rules are there only while the handler runs.
    const block = createBlock(this.#library.globalBlockClass, 'object', (_, rules) =>
      settle({ status: 1000, forwards: this.#read(rules, family) }),
    )
    const status = this.#library.vmnet.getForwards(this.#interface, families[family], block.address)
    if (status !== 1000) settle({ status, forwards: [] })
    const answered = await answer
    block.release()
    check(what, answered.status)
    return answered.forwards
  }

  #read(rules: number, family: Family): Forward[] {
    if (rules === 0) return []
    const { xpcArrayCount, xpcArrayValue } = this.#library.system
    // protocol @0 (u8), external port @2, internal port @4 (u16, host order), address @8
    const memory = new NativeMemory(24)
    const view = new DataView(memory.buffer)
    const at = memory.address
    return Array.from({ length: Number(xpcArrayCount(rules)) }, (_, i) => {
      const rule = xpcArrayValue(rules, i)
      check('describe a rule', this.#library.vmnet.forwardDetails(rule, at, at + 2, families[family], at + 8, at + 4))
      const inside = family === 'ipv4' ? formatIpv4(view.getUint32(8)) : `[${formatIpv6(memory.bytes.slice(8, 24))}]`
      return {
        protocol: view.getUint8(0) === protocols.udp ? 'udp' : 'tcp',
        host: `${family === 'ipv4' ? '0.0.0.0' : '[::]'}:${view.getUint16(2, true)}`,
        guest: `${inside}:${view.getUint16(4, true)}`,
      } as const
    })
  }
}

function ruleOf(forward: Forward): Rule {
  const problem = forwardProblem(forward)
  if (problem !== undefined) throw new OperatorError(problem)
  const outside = parseForwardEnd(forward.host) as { port: number }
  const inside = parseForwardEnd(forward.guest) as { family: Family; address: string; port: number }
  return {
    protocol: protocols[forward.protocol],
    externalPort: outside.port,
    family: inside.family,
    address: isIPv6(inside.address)
      ? (parseIpv6(inside.address) as Uint8Array)
      : Uint8Array.from(inside.address.split('.').map(Number)),
    internalPort: inside.port,
  }
}
