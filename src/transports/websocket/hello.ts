/**
 * What two switches tell each other in the headers of the WebSocket upgrade, the request's and the answer's. A relay or
 * a browser that knows nothing of them neither sends nor minds them.
 *
 *     X-Tapswitch-Instance: 6f1c...   drawn anew whenever the program starts: tells a switch from itself and from others (identity.ts)
 *     X-Tapswitch-Nonce: Qy3v...      drawn for this request or answer
 *     X-Tapswitch-Proof: 0pT7...      in answers: that the instance is the server's own
 *     X-Tapswitch-Link: 93ab...       in requests: the same for every attempt of one dialling transport
 *     X-Tapswitch-Name: lab           percent-encoded
 *     X-Tapswitch-Max-Frame: 1518     bytes, header included, FCS not
 */
import type { IncomingHttpHeaders } from 'node:http'

export interface Hello {
  readonly instance: string
  /** Empty in an answer. */
  readonly link: string
  /** Empty where the other end cannot prove who it is. */
  readonly nonce: string
  /** Empty in a request. */
  readonly proof: string
  /** For people. */
  readonly name: string
  /** Null when the other end did not say. */
  readonly maxFrameSize: number | null
}

const identifier = /^[\w-]{8,64}$/
const signature = /^[\w-]{86}$/

export function helloHeaders({ instance, link, nonce, proof, name, maxFrameSize }: Hello): Record<string, string> {
  return {
    'X-Tapswitch-Instance': instance,
    ...(link === '' ? {} : { 'X-Tapswitch-Link': link }),
    ...(nonce === '' ? {} : { 'X-Tapswitch-Nonce': nonce }),
    ...(proof === '' ? {} : { 'X-Tapswitch-Proof': proof }),
    'X-Tapswitch-Name': encodeURIComponent(name),
    ...(maxFrameSize === null ? {} : { 'X-Tapswitch-Max-Frame': String(maxFrameSize) }),
  }
}

/** Null when the other end is no switch of this kind. Whatever it sent, the result is short and printable. */
export function readHello(headers: IncomingHttpHeaders): Hello | null {
  const text = (name: string) => {
    const value = headers[`x-tapswitch-${name}`]
    return typeof value === 'string' ? value : ''
  }
  const instance = text('instance')
  if (!identifier.test(instance)) return null
  const link = text('link')
  const [nonce, proof] = [text('nonce'), text('proof')]
  const maxFrame = text('max-frame')
  return {
    instance,
    link: identifier.test(link) ? link : '',
    nonce: identifier.test(nonce) ? nonce : '',
    proof: signature.test(proof) ? proof : '',
    name: printable(text('name')),
    maxFrameSize: /^\d{2,6}$/.test(maxFrame) ? Number(maxFrame) : null,
  }
}

function printable(encoded: string): string {
  let text: string
  try {
    text = decodeURIComponent(encoded)
  } catch {
    text = ''
  }
  return text.replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '').slice(0, 64) || 'unnamed'
}
