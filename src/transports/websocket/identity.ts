/**
 * Who a switch is, so that another one can be sure of it. What a header says anyone can copy: a guest that called
 * itself by the name of another switch would take the one place there is for links to it, and keep that switch out. So
 * the name of a switch is the public key of a pair that is made whenever the program starts (Ed25519, RFC 8032), and
 * each end proves to the other that it has the private key.
 *
 *     request   X-Tapswitch-Instance: the dialler's key      X-Tapswitch-Nonce: drawn for this attempt
 *     answer    X-Tapswitch-Instance: the server's key       X-Tapswitch-Nonce: drawn for this answer     X-Tapswitch-Proof: signature
 *     first message of the dialler, a text                   tapswitch-proof:signature
 *
 * What is signed names the end that signs, both nonces and both keys, so that a proof is of no use at the other end,
 * later, or with another switch. An end without proof is a station like any other: it is let in, and takes no switch's
 * place.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, verify } from 'node:crypto'

/** Of one handshake; keys and nonces in base64url. */
export interface Handshake {
  readonly dialler: { readonly instance: string; readonly nonce: string }
  readonly server: { readonly instance: string; readonly nonce: string }
}

export type Side = keyof Handshake

export class Identity {
  /** The public key: 32 bytes in base64url. */
  readonly instance: string
  readonly #privateKey: KeyObject

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    this.#privateKey = privateKey
    this.instance = String(publicKey.export({ format: 'jwk' }).x)
  }

  /** That this switch is one end of the handshake. */
  prove(handshake: Handshake, as: Side): string {
    return sign(null, signed(handshake, as), this.#privateKey).toString('base64url')
  }
}

export const drawNonce = (): string => randomBytes(16).toString('base64url')

/** Whether the end of this side has the private key of its instance. False for whatever else it sent. */
export function isProven(handshake: Handshake, side: Side, proof: string): boolean {
  const { instance } = handshake[side]
  if (!/^[\w-]{43}$/.test(instance) || !/^[\w-]{86}$/.test(proof)) return false
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: instance }, format: 'jwk' })
    return verify(null, signed(handshake, side), key, Buffer.from(proof, 'base64url'))
  } catch {
    return false
  }
}

function signed({ dialler, server }: Handshake, side: Side): Buffer {
  const parts = [side, dialler.instance, dialler.nonce, server.instance, server.nonce]
  return Buffer.from(`tapswitch link\n${parts.join('\n')}\n`)
}
