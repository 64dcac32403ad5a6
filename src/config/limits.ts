/** Limits that more than one option shares. */
import { wholeNumber } from './fields.js'

/**
 * 64: what every Ethernet must carry; 65550: the largest frame vmnet and libkrun hand over (64 KiB segments with their
 * header).
 */
export const maxFrameSize = () => wholeNumber(64, 65_550)

const mebibyte = 1024 * 1024
export const bufferBytes = { min: 4 * mebibyte, max: 1024 * mebibyte, default: 64 * mebibyte }

/** Default of `switch.fdb.maxEntriesPerPort`, unless the whole table is smaller. */
export const defaultEntriesPerPort = 4096

/** Each transport and each interface has a row of counters in memory that is laid out at the start. */
export const maxTransports = 256
export const maxInterfaces = 64
