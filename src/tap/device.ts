/**
 * One TAP: made, or attached to where there is one of this name, and set up by ioctl. A TAP that is not persistent is
 * gone with its last descriptor, however the process ends.
 *
 * Without root a TAP can be attached to that somebody made persistent and gave to this user (`ip tuntap add dev tap0
 * mode tap user me`). Its settings cannot be changed then; what is asked for has to be so already.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { OperatorError } from '../errors.js'
import { closeDescriptor, errno, socket } from '../os/libc.js'
import {
  AF_INET,
  IFF_NO_PI,
  IFF_PERSIST,
  IFF_TAP,
  IFF_UP,
  Ifreq,
  ioctl,
  ioctlValue,
  SIOCGIFFLAGS,
  SIOCGIFHWADDR,
  SIOCGIFINDEX,
  SIOCGIFMTU,
  SIOCSIFFLAGS,
  SIOCSIFHWADDR,
  SIOCSIFMTU,
  SOCK_DGRAM_CLOEXEC,
  TUNGETIFF,
  TUNSETIFF,
  TUNSETOWNER,
  TUNSETPERSIST,
} from './abi.js'
import { inNamespace } from './namespace.js'

const CLONE_DEVICE = '/dev/net/tun'

const { EPERM, EBUSY, EINVAL, ENOENT, EACCES, ENODEV, ENXIO } = {
  EPERM: 1,
  ENOENT: 2,
  ENXIO: 6,
  EACCES: 13,
  EBUSY: 16,
  ENODEV: 19,
  EINVAL: 22,
}

export interface LinkSettings {
  readonly mac: string
  readonly mtu: number
  readonly up: boolean
}

export class TapDevice {
  readonly fd: number = -1
  /** As the kernel named it, where a pattern was given. */
  readonly name: string = ''
  readonly index: number = 0
  readonly netns: string | null
  /** It was there before, and had these settings. */
  readonly before: LinkSettings | null = null
  readonly #ifreq: Ifreq
  /** A socket in the namespace, which the ioctls of links want. */
  readonly #control: number
  #closed = false

  /** `device` is a name, or a pattern such as `tap%d`. Throws OperatorError with nothing left behind. */
  static open(device: string, netns: string | null): TapDevice {
    return inNamespace(netns, () => new TapDevice(device, netns))
  }

  private constructor(device: string, netns: string | null) {
    this.netns = netns
    this.#ifreq = new Ifreq(device)
    this.#control = socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0)
    if (this.#control < 0) throw new Error(`socket: errno ${errno()}`)
    try {
      const existed = ioctl(this.#control, SIOCGIFINDEX, this.#ifreq) >= 0
      this.fd = this.#attach(device, existed)
      this.name = this.#ifreq.name
      this.index = this.#get(SIOCGIFINDEX).value
      this.before = existed ? this.settings : null
    } catch (error) {
      this.close()
      throw error
    }
  }

  get settings(): LinkSettings {
    return {
      mac: this.#get(SIOCGIFHWADDR).mac,
      mtu: this.#get(SIOCGIFMTU).value,
      up: (this.#get(SIOCGIFFLAGS).flags & IFF_UP) !== 0,
    }
  }

  /** Whether it outlives its last descriptor. */
  get persistent(): boolean {
    this.#ifreq.name = this.name
    ioctl(this.fd, TUNGETIFF, this.#ifreq)
    return (this.#ifreq.flags & IFF_PERSIST) !== 0
  }

  setMac(mac: string): void {
    if (this.settings.mac === mac) return
    this.#ifreq.name = this.name
    this.#ifreq.mac = mac
    this.#set(SIOCSIFHWADDR, 'mac', mac)
  }

  setMtu(mtu: number): void {
    if (this.settings.mtu === mtu) return
    this.#ifreq.name = this.name
    this.#ifreq.value = mtu
    this.#set(SIOCSIFMTU, 'mtu', mtu)
  }

  bringUp(): void {
    const { flags } = this.#get(SIOCGIFFLAGS)
    if ((flags & IFF_UP) !== 0) return
    this.#ifreq.flags = flags | IFF_UP
    this.#set(SIOCSIFFLAGS, 'device', this.name, `is down, and bringing it up`)
  }

  /** Makes it outlive us, for `owner` (a uid) to attach to; null leaves the owner as it is. */
  persist(owner: number | null): void {
    const result = owner === null ? 0 : ioctlValue(this.fd, TUNSETOWNER, owner)
    if (result < 0) throw refusal('owner', owner, 'giving the TAP away', result)
    const kept = ioctlValue(this.fd, TUNSETPERSIST, 1)
    if (kept < 0) throw refusal('persistent', true, 'making the TAP persistent', kept)
  }

  /** Takes that back, for a start that failed later. */
  unpersist(): void {
    ioctlValue(this.fd, TUNSETPERSIST, 0)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.fd >= 0) closeDescriptor(this.fd)
    closeDescriptor(this.#control)
  }

  #attach(device: string, existed: boolean): number {
    const fd = openCloneDevice()
    this.#ifreq.name = device
    this.#ifreq.flags = IFF_TAP | IFF_NO_PI
    const result = ioctl(fd, TUNSETIFF, this.#ifreq)
    if (result >= 0) return fd
    closeSync(fd)
    throw attachError(device, existed, -result)
  }

  #get(request: number): Ifreq {
    this.#ifreq.name = this.name
    const result = ioctl(this.#control, request, this.#ifreq)
    if (result < 0) throw new OperatorError(`"${this.name}" is gone`, { path: 'device', value: this.name })
    return this.#ifreq
  }

  #set(
    request: number,
    option: string,
    value: unknown,
    what = `${JSON.stringify(value)} is not what "${this.name}" has, and changing it`,
  ): void {
    const result = ioctl(this.#control, request, this.#ifreq)
    if (result < 0) throw refusal(option, value, what, result)
  }
}

function openCloneDevice(): number {
  try {
    return openSync(CLONE_DEVICE, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const number = -((error as NodeJS.ErrnoException).errno ?? 0)
    if (number === ENOENT || number === ENODEV || number === ENXIO) {
      throw new OperatorError(
        `${CLONE_DEVICE} is missing: modprobe tun; in a container: --device ${CLONE_DEVICE} --cap-add NET_ADMIN`,
        { cause: error },
      )
    }
    if (number === EACCES || number === EPERM) {
      throw new OperatorError(`${CLONE_DEVICE} may not be opened by this user (${code})`, { cause: error })
    }
    throw new OperatorError(`${CLONE_DEVICE} cannot be opened: ${code}`, { cause: error })
  }
}

function attachError(device: string, existed: boolean, error: number): OperatorError {
  return new OperatorError(`"${device}" ${attachReason(device, existed, error)}`, { path: 'device', value: device })
}

function attachReason(device: string, existed: boolean, error: number): string {
  if (error === EPERM) {
    const own = device.includes('%') ? 'tap0' : device
    return existed
      ? 'belongs to another user: run as root, or as the user it was made for (ip tuntap add ... user NAME)'
      : `cannot be made without root (CAP_NET_ADMIN); as root, make one for this user: ip tuntap add dev ${own} mode tap user ${process.getuid?.()}`
  }
  if (error === EBUSY) return 'is in use by another program'
  if (error === EINVAL && existed) return 'exists and is not a TAP with one queue (ip tuntap show)'
  return `cannot be made: ${getSystemErrorName(-error)}`
}

function refusal(option: string, value: unknown, what: string, result: number): OperatorError {
  const why = result === -EPERM ? 'needs root (CAP_NET_ADMIN)' : `was refused: ${getSystemErrorName(result)}`
  return new OperatorError(`${what} ${why}`, { path: option, value })
}
