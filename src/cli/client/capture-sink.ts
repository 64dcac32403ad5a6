/**
 * Where the command `capture` writes: a file, a named pipe or stdout. A fault is an OperatorError of one sentence.
 *
 * pcapng consists of blocks, each with its length. The file keeps count of them, so that it can be cut behind the last
 * whole block when the disk is full or the switch is gone: what is left is a valid file.
 */
import { type FileHandle, open } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { OperatorError } from '../../errors.js'

export interface CaptureSink {
  /** False when the reader of a pipe is gone, which is no fault. */
  write(chunk: Buffer): Promise<boolean>
  /** Cuts what is not a whole block, where that is possible, and closes. Returns how many bytes are left. */
  close(): Promise<number>
}

/** @throws OperatorError when the file cannot be made */
export async function fileSink(path: string): Promise<CaptureSink> {
  try {
    return new FileSink(path, await open(path, 'w', 0o600))
  } catch (error) {
    throw unwritable(path, error)
  }
}

export function streamSink(stream: Writable): CaptureSink {
  return new StreamSink(stream)
}

/** Where the blocks of a pcapng stream end. */
export class BlockCounter {
  /** Bytes up to the end of the last whole block. */
  whole = 0
  #seen = 0
  /** Bytes to the end of the present block, when its head is known. */
  #missing = 0
  #head = Buffer.alloc(0)

  add(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#missing === 0) {
        const taken = chunk.subarray(at, at + 8 - this.#head.length)
        this.#head = Buffer.concat([this.#head, taken])
        at += taken.length
        if (this.#head.length < 8) break
        // A length below that of the head would keep this loop from ending.
        this.#missing = Math.max(12, this.#head.readUInt32LE(4)) - 8
        this.#head = Buffer.alloc(0)
      }
      const step = Math.min(this.#missing, chunk.length - at)
      this.#missing -= step
      at += step
      if (this.#missing === 0) this.whole = this.#seen + at
    }
    this.#seen += chunk.length
  }
}

class FileSink implements CaptureSink {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #blocks = new BlockCounter()
  #written = 0

  constructor(path: string, handle: FileHandle) {
    this.#path = path
    this.#handle = handle
  }

  async write(chunk: Buffer): Promise<boolean> {
    for (let at = 0; at < chunk.length; ) {
      try {
        const { bytesWritten } = await this.#handle.write(chunk, at)
        this.#blocks.add(chunk.subarray(at, at + bytesWritten))
        this.#written += bytesWritten
        at += bytesWritten
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EPIPE') return false
        throw unwritable(this.#path, error)
      }
    }
    return true
  }

  async close(): Promise<number> {
    try {
      // A pipe cannot be cut; its reader has the bytes already.
      if (this.#written > this.#blocks.whole) await this.#handle.truncate(this.#blocks.whole).catch(() => {})
      await this.#handle.close()
    } catch (error) {
      throw unwritable(this.#path, error)
    }
    return this.#blocks.whole
  }
}

class StreamSink implements CaptureSink {
  readonly #stream: Writable
  readonly #blocks = new BlockCounter()
  readonly #onError = () => {}

  constructor(stream: Writable) {
    this.#stream = stream
    stream.on('error', this.#onError)
  }

  async write(chunk: Buffer): Promise<boolean> {
    const error = await new Promise<Error | null | undefined>(resolve => this.#stream.write(chunk, resolve))
    if (error != null) {
      if ((error as NodeJS.ErrnoException).code === 'EPIPE') return false
      throw unwritable('stdout', error)
    }
    this.#blocks.add(chunk)
    return true
  }

  async close(): Promise<number> {
    this.#stream.off('error', this.#onError)
    return this.#blocks.whole
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'it is a folder',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the quota is used up',
  EFBIG: 'the file system takes no larger file',
}

function unwritable(path: string, error: unknown): OperatorError {
  const { code = '', message } = error as NodeJS.ErrnoException
  return new OperatorError(`cannot write the capture to ${path}: ${reasons[code] ?? message}`, { cause: error })
}
