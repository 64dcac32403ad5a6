/**
 * Frames that lie in a read buffer, one behind the other, all from one port: what a stream endpoint found between two
 * length prefixes. They are switched and sent from where they lie; see `FramePool`.
 */

/**
 * Frames for each list: what one call sends at most. Measured with 64-byte frames from one stream to another,
 * nanoseconds of CPU for a frame, on a busy machine: 512: 48, 1024: 46, 2048: 43, 4096: 40. A list whose port turns out
 * to be full in the middle must find room in that port's queue, 2048 frames by default; with lists of 2048, frames were
 * lost.
 */
export const LIST = 1024

export class FrameList {
  /** Where each frame starts in the pool's arena. */
  readonly offset = new Int32Array(LIST)
  /**
   * Bytes, as announced. The core refuses a frame that is longer than the switch allows. Of a frame longer than
   * `FramePool.capacity`, at least that many bytes have arrived.
   */
  readonly length = new Int32Array(LIST)
  /** Ingress port index. */
  port = -1
  /** There may be more frames in the buffer: ask again before the next read. */
  more = false
}
