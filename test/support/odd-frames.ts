/**
 * Frames of every shape that a filter looks into, drawn from a seed: tags, LLC, fragments, extension headers, runts,
 * cut frames.
 */
import { bytesOf } from './frames.js'
import type { Random } from './random.js'

export interface OddFrame {
  /** What was captured of it. */
  readonly bytes: Uint8Array
  /** Bytes on the wire; more than `bytes` when the frame was cut. */
  readonly length: number
}

export function oddFrames(random: Random, count: number): OddFrame[] {
  return Array.from({ length: count }, () => {
    const whole = bytesOf(frame(random)).subarray(0, 9014)
    const runt = random.between(0, 19) === 0 ? random.between(0, 20) : whole.length
    const length = Math.min(whole.length, runt)
    const captured = random.between(0, 5) === 0 ? Math.min(length, random.between(1, 80)) : length
    return { bytes: whole.subarray(0, captured), length }
  })
}

const hexOf = (value: number, bytes: number) =>
  value
    .toString(16)
    .padStart(2 * bytes, '0')
    .slice(-2 * bytes)
const zeros = (bytes: number) => '00'.repeat(bytes)

function frame(random: Random): string {
  const destination = random.pick([
    mac(random),
    mac(random),
    'ffffffffffff',
    '01005e000016',
    '33330000fffb',
    '0180c200000e',
  ])
  return destination + mac(random) + tags(random) + payload(random)
}

function mac(random: Random): string {
  return random.pick(['525400000001', '525400000002', '5254000000fe', '000000000000'])
}

/** None, mostly; else up to three, nested. */
function tags(random: Random): string {
  if (random.between(0, 2) !== 0) return ''
  const tag = () =>
    random.pick(['8100', '8100', '88a8', '9100']) +
    hexOf((random.between(0, 7) << 13) | random.pick([0, 10, 100, 200]), 2)
  return Array.from({ length: random.between(1, 3) }, tag).join('')
}

/** From the EtherType or length on. */
function payload(random: Random): string {
  switch (random.between(0, 11)) {
    case 0:
      return `0806 00010800060400${random.pick(['01', '02'])}${mac(random)}${ip4(random)}${mac(random)}${ip4(random)}`
    case 1:
      return `8035 0001080006040003${mac(random)}${ip4(random)}${mac(random)}${ip4(random)}`
    case 2:
    case 3:
    case 4:
      return `0800${ipv4(random)}`
    case 5:
    case 6:
      return `86dd${ipv6(random)}`
    case 7:
      return llc(random)
    case 8:
      return mpls(random)
    case 9:
      return pppoe(random)
    case 10:
      return `0800${vxlanLike(random)}`
    default:
      return (
        random.pick(['88cc', '9000', '8808', '88f7', '88e5', '0000', 'ffff', '0600', '6003', '809b', '80f3']) +
        hexOf(random.between(0, 0xffff), 2) +
        zeros(random.pick([0, 30, 1500, 9000]))
      )
  }
}

function ip4(random: Random): string {
  return random.pick(['0a000001', '0a000002', '0a000009', '0a0000c8', 'c0a80101', 'e0000016', 'ffffffff', '00000000'])
}

function ip6(random: Random): string {
  const [prefix, last] = [random.pick(['fd00', 'fe80', 'ff02', '2001']), random.pick(['01', '02', '16'])]
  return `${prefix}${zeros(13)}${last}`
}

function transport(random: Random): string {
  const port = () => random.pick(['0035', '0050', '01bb', '1388', '0044'])
  const flags = random.pick(['02', '12', '10', '11', '04'])
  return `${port()}${port()}${zeros(8)}50${flags}${zeros(random.pick([6, 26]))}`
}

const protocols = ['06', '06', '11', '11', '84', '01', '02', '3a', '33', '32', '67', '70', '2f', '09', '04', '29']

function upper(random: Random, protocol: string): string {
  if (protocol === '01' || protocol === '3a' || protocol === '02') {
    return random.pick(['08', '00', '03', '85', '86', '87', '88', '22']) + random.pick(['00', '01']) + zeros(26)
  }
  return transport(random)
}

function ipv4(random: Random): string {
  const words = random.pick([5, 5, 5, 7, 15, 4])
  const fragment = random.pick(['0000', '0000', '4000', '2000', '00b9', '2001'])
  const protocol = random.pick(protocols)
  const options = zeros(Math.max(0, words - 5) * 4)
  const length = hexOf(random.pick([20, 48, 84, 1500]), 2)
  return `4${words.toString(16)}${random.pick(['00', 'b8'])}${length}0001${fragment}40${protocol}0000${ip4(random)}${ip4(random)}${options}${upper(random, protocol)}`
}

function ipv6(random: Random): string {
  const protocol = random.pick(protocols)
  const extensions: string[] = []
  const kinds: string[] = []
  for (let i = random.pick([0, 0, 0, 1, 2]); i > 0; i--) {
    kinds.push(random.pick(['00', '2b', '3c', '2c']))
  }
  for (const [i, kind] of kinds.entries()) {
    const next = kinds[i + 1] ?? protocol
    extensions.push(
      kind === '2c' ? `${next}00${random.pick(['0000', '0001', '00b8'])}00000007` : `${next}00${zeros(6)}`,
    )
  }
  return `6${random.pick(['000', '0b8'])}0000${hexOf(60, 2)}${kinds[0] ?? protocol}ff${ip6(random)}${ip6(random)}${extensions.join('')}${upper(random, protocol)}`
}

/** IEEE 802.3 lengths and LLC headers. */
function llc(random: Random): string {
  const length = hexOf(random.pick([3, 20, 38, 50, 1497]), 2)
  const header = random.pick([
    `424203${zeros(35)}`,
    `fefe0383${zeros(30)}`,
    `aaaa0300000c2000${zeros(20)}`,
    `aaaa030000000800${ipv4(random)}`,
    `aaaa03080007809b${zeros(20)}`,
    `aaaa0300000080f3${zeros(20)}`,
    `ffff${zeros(38)}`,
    `e0e003${zeros(30)}`,
    `f0f003${zeros(27)}`,
    `f0f07f${zeros(27)}`,
    `06060101${zeros(10)}`,
    `0404${zeros(1)}`,
  ])
  return length + header
}

function mpls(random: Random): string {
  const label = (bottom: number) => hexOf((random.pick([5, 1000, 1024]) << 12) | (bottom << 8) | 64, 4)
  const inner = random.pick([ipv4(random), ipv6(random)])
  return random.pick(['8847', '8848']) + random.pick([label(1), label(0) + label(1)]) + inner
}

function pppoe(random: Random): string {
  if (random.between(0, 3) === 0) return '8863110900000004 01010000'.replace(' ', '')
  const session = random.pick(['0001', '0005'])
  return `86641100${session}0040${random.pick([`0021${ipv4(random)}`, `0057${ipv6(random)}`, `c021${zeros(20)}`])}`
}

/** UDP to Geneve's port with an inner frame. */
function vxlanLike(random: Random): string {
  const outer = `4500009000010000401100000a0000010a000002`
  const inner = `525400000001525400000002${random.pick([`0800${ipv4(random)}`, `86dd${ipv6(random)}`, `0806${zeros(28)}`])}`
  const options = random.pick(['00', '01'])
  return `${outer}${random.pick(['17c1', '12b5'])}17c1007c0000${options}006558${random.pick(['00000a', '000064'])}00${options === '01' ? zeros(4) : ''}${inner}`
}
