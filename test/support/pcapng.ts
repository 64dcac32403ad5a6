/** Reads pcapng as far as a test wants to: interfaces, packets, statistics. Little-endian, as the switch writes it. */
import assert from 'node:assert/strict'

export interface PcapngPacket {
  /** Name of the interface. */
  port: string
  direction: 'in' | 'out'
  time: bigint
  length: number
  bytes: Buffer
  comment: string | undefined
}

export interface PcapngFile {
  application: string | undefined
  interfaces: string[]
  packets: PcapngPacket[]
  /** By name of the interface. */
  statistics: Map<string, { received: number; accepted: number; dropped: number }>
}

export function readPcapng(bytes: Buffer): PcapngFile {
  const file: PcapngFile = { application: undefined, interfaces: [], packets: [], statistics: new Map() }
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readUInt32LE(at + 4)
    assert.equal(bytes.readUInt32LE(at + size - 4), size, `block at ${at}`)
    readBlock(bytes.readUInt32LE(at), bytes.subarray(at + 8, at + size - 4), file)
    at += size
  }
  return file
}

function readBlock(type: number, body: Buffer, file: PcapngFile): void {
  switch (type) {
    case 0x0a0d0d0a:
      file.application = optionsOf(body, 16).get(4)?.toString()
      return
    case 1:
      file.interfaces.push(String(optionsOf(body, 8).get(2)))
      return
    case 6: {
      const captured = body.readUInt32LE(12)
      const options = optionsOf(body, 20 + ((captured + 3) & ~3))
      file.packets.push({
        port: nameAt(file, body.readUInt32LE(0)),
        direction: ((options.get(2)?.readUInt32LE() ?? 0) & 3) === 1 ? 'in' : 'out',
        time: (BigInt(body.readUInt32LE(4)) << 32n) | BigInt(body.readUInt32LE(8)),
        length: body.readUInt32LE(16),
        bytes: body.subarray(20, 20 + captured),
        comment: options.get(1)?.toString(),
      })
      return
    }
    case 5: {
      const options = optionsOf(body, 12)
      const count = (code: number) => Number(options.get(code)?.readBigUInt64LE() ?? -1n)
      file.statistics.set(nameAt(file, body.readUInt32LE(0)), {
        received: count(4),
        accepted: count(6),
        dropped: count(5),
      })
      return
    }
    case 4:
      assert.equal(body.length, 4, 'name resolution without names')
      return
    default:
      assert.fail(`block of type ${type}`)
  }
}

function nameAt({ interfaces }: PcapngFile, id: number): string {
  const name = interfaces[id]
  assert.ok(name !== undefined, `interface ${id} of ${interfaces.length}`)
  return name
}

function optionsOf(body: Buffer, start: number): Map<number, Buffer> {
  const options = new Map<number, Buffer>()
  for (let at = start; at + 4 <= body.length; ) {
    const code = body.readUInt16LE(at)
    const length = body.readUInt16LE(at + 2)
    if (code === 0) break
    options.set(code, body.subarray(at + 4, at + 4 + length))
    at += 4 + ((length + 3) & ~3)
  }
  return options
}
