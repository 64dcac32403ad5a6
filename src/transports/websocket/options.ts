/** Names and limits that both directions of the WebSocket transport share. */
import { MAX_LENGTH } from '../stream/framing.js'

export const WEBSOCKET = 'websocket'

/**
 * Bytes of the longest message that is taken. More than any port allows: a frame that is only too long is dropped and
 * counted as such, like everywhere; beyond this the connection is closed (status 1009).
 */
export const MAX_MESSAGE = MAX_LENGTH

/** Bytes that may wait in this process for one peer; what comes then waits, and is dropped, in the port's queue. */
export const MAX_BUFFERED = 1024 * 1024

/** Milliseconds between two looks at each connection. */
export const CHECK_MS = 1000

/** Milliseconds that a closing handshake may take before the connection is cut. */
export const CLOSE_MS = 500
