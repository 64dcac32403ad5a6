/**
 * Frames that lie in a read buffer, one behind the other, all from one port: what a stream endpoint found between two length
 * prefixes. They are switched and sent from where they lie; see `FramePool`.
 */

/**
 * Frames for each list. LIST_MEASUREMENT
 */
export const LIST = 512

export class FrameList {
  /** Where each frame starts in the pool's arena. */
  readonly offset = new Int32Array(LIST)
  /** Bytes, as announced; may be more than the switch allows, which the core then refuses. */
  readonly length = new Int32Array(LIST)
  /** Ingress port index. */
  port = -1
  /** There may be more frames in the buffer: ask again before the next read. */
  more = false
}
