/**
 * Which descriptors were open when the process started. A number that was not then is something of our own by now, and
 * an operator who names it has made a mistake. Where nobody noted it (in tests), every descriptor counts.
 */
import { readdirSync } from 'node:fs'

let inherited: Set<number> | undefined

/** To be called before anything is opened. */
export function noteInherited(): void {
  inherited = new Set(readdirSync('/dev/fd').map(Number))
}

export const isInherited = (fd: number): boolean => inherited?.has(fd) ?? true

/** The descriptor was closed; its number is free for anything. */
export const disinherit = (fd: number): void => void inherited?.delete(fd)
