/** The first message of a dialler: that it is the switch it says it is, as identity.ts has it. */
import { type Handshake, type Identity, isProven } from './identity.js'

const PREFIX = 'tapswitch-proof:'

export function proofText(identity: Pick<Identity, 'prove'>, handshake: Handshake): string {
  return PREFIX + identity.prove(handshake, 'dialler')
}

/** Undefined for a text that is no proof; else whether it proves what it should. */
export function checkProofText(text: string, handshake: Handshake): boolean | undefined {
  return text.startsWith(PREFIX) ? isProven(handshake, 'dialler', text.slice(PREFIX.length)) : undefined
}
