/**
 * Why a frame was not delivered. The names are label values of the metrics and fields of the API, so they are kept
 * stable; an index into these lists is the position of the counter in shared memory, so new reasons go to the end.
 */

/** Reasons decided at ingress: the frame goes nowhere. */
export const receiveDropReasons = [
  'runt',
  'oversize',
  'invalid-source',
  'reserved-destination',
  'same-port',
  'isolated',
  'port-down',
] as const

/** Reasons decided at egress: this port does not get the frame, others may. */
export const transmitDropReasons = ['queue-full', 'oversize', 'peer-gone', 'error', 'impaired', 'restart'] as const

/** What made a frame go to every port. */
export const floodCauses = ['broadcast', 'multicast', 'unknown-unicast'] as const

export type ReceiveDropReason = (typeof receiveDropReasons)[number]
export type TransmitDropReason = (typeof transmitDropReasons)[number]
export type FloodCause = (typeof floodCauses)[number]
