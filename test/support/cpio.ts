/**
 * Writes the archive format the Linux kernel unpacks as its first root file system: "newc" cpio
 * (https://docs.kernel.org/driver-api/early-userspace/buffer-format.html). Each entry is an ASCII header of thirteen
 * eight-digit hexadecimal fields, the name with a NUL, and the data, both padded to four bytes.
 */

const directory = 0o040000
const regular = 0o100000
const character = 0o020000

export type CpioEntry =
  | { type: 'directory'; name: string }
  | { type: 'file'; name: string; data: Buffer; executable?: boolean }
  | { type: 'device'; name: string; major: number; minor: number }

/** Names are relative ('bin/sh'); a directory must come before what it holds. */
export function cpio(entries: CpioEntry[]): Buffer {
  const parts = entries.map((entry, index) => serialize(entry, index + 1))
  return Buffer.concat([...parts, record({ name: 'TRAILER!!!', inode: 0, mode: 0 })])
}

function serialize(entry: CpioEntry, inode: number): Buffer {
  const { name } = entry
  switch (entry.type) {
    case 'directory':
      return record({ name, inode, mode: directory | 0o755 })
    case 'file':
      return record({ name, inode, mode: regular | (entry.executable ? 0o755 : 0o644), data: entry.data })
    case 'device':
      return record({ name, inode, mode: character | 0o600, device: [entry.major, entry.minor] })
  }
}

interface CpioRecord {
  name: string
  inode: number
  mode: number
  data?: Buffer
  device?: [major: number, minor: number]
}

function record({ name, inode, mode, data = Buffer.alloc(0), device = [0, 0] }: CpioRecord): Buffer {
  const nul = Buffer.from(`${name}\0`)
  const [owner, group, links, time, check] = [0, 0, 1, 0, 0]
  const fields = [inode, mode, owner, group, links, time, data.length, 0, 0, ...device, nul.length, check]
  const header = `070701${fields.map(field => field.toString(16).padStart(8, '0')).join('')}`
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), nul])), padded(data)])
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])
}
