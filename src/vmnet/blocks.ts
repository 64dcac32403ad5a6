/**
 * Objective-C blocks, made by hand (https://clang.llvm.org/docs/Block-ABI-Apple.html). vmnet's callbacks are blocks and
 * nothing else will do.
 *
 *     literal                                descriptor
 *     @0  isa      _NSConcreteGlobalBlock    @0  reserved  0
 *     @8  flags    BLOCK_IS_GLOBAL           @8  size      32
 *     @12 reserved 0
 *     @16 invoke   a C function: (block, arguments of the block)
 *     @24 descriptor
 *
 * A *global* block captures nothing, so copying it returns the same pointer and releasing it does nothing: whoever
 * keeps it never frees it, and neither do we. Literals live in memory of their own that is used again and never given
 * back, because a framework may still look at a block after it has called it.
 *
 * What a block would have captured is found by its address instead, the first argument of every invocation. So one
 * callback is registered with koffi for each signature, once and for good: there is never a foreign call into one that
 * was taken back.
 *
 * Such a call comes from a thread of the framework's, which waits until JavaScript has run on the thread that
 * registered, when that returns to its event loop. Therefore: main thread only, nothing here may wait in place for a
 * block to be called, and data plane threads make none. A waiting callback does not keep the process alive.
 */
import koffi from 'koffi'
import { pinCodeAt } from './pin.js'

const LITERAL_SIZE = 32
const DESCRIPTOR_SIZE = 16
export const BLOCK_IS_GLOBAL = 1 << 28

/** A number and an object (which is 0 for NULL) at most; blocks with fewer arguments get 0. */
export type BlockHandler = (first: number, second: number) => void

export interface Block {
  /** What a call is given. */
  readonly address: number
  /** Makes it deaf, and its memory free for the next one. Only when nobody can call it any more. */
  release(): void
}

/** `u32, object`: start handlers and events. `u32`: completions. `object`: lists of rules. */
export type BlockShape = 'u32-object' | 'u32' | 'object'

const prototypes: Record<BlockShape, string[]> = {
  'u32-object': ['uintptr_t', 'uint32_t', 'uintptr_t'],
  u32: ['uintptr_t', 'uint32_t'],
  object: ['uintptr_t', 'uintptr_t'],
}

const handlers = new Map<number, BlockHandler>()
const invokes = new Map<BlockShape, number>()
const free: number[] = []
let made = 0

/** Block literals that exist, in use or not. */
export const blocksMade = (): number => made
/** Of those, in use. */
export const blocksInUse = (): number => made - free.length

/**
 * A block that calls `handler` on this thread. Exceptions of the handler are ours to have: the caller gets nothing of
 * them.
 */
export function createBlock(globalBlockClass: number, shape: BlockShape, handler: BlockHandler): Block {
  const block = place(globalBlockClass, invokeOf(shape))
  handlers.set(block.address, handler)
  return block
}

/** A block that runs a C function with whatever it is called with; for when no JavaScript can run any more. */
export function createNativeBlock(globalBlockClass: number, invoke: number): Block {
  return place(globalBlockClass, invoke)
}

function place(isa: number, invoke: number): Block {
  const address = free.pop() ?? allocate()
  const bytes = new DataView(koffi.view(BigInt(address), LITERAL_SIZE + DESCRIPTOR_SIZE))
  bytes.setBigUint64(0, BigInt(isa), true)
  bytes.setInt32(8, BLOCK_IS_GLOBAL, true)
  bytes.setInt32(12, 0, true)
  bytes.setBigUint64(16, BigInt(invoke), true)
  bytes.setBigUint64(24, BigInt(address + LITERAL_SIZE), true)
  bytes.setBigUint64(LITERAL_SIZE, 0n, true)
  bytes.setBigUint64(LITERAL_SIZE + 8, BigInt(LITERAL_SIZE), true)
  let released = false
  return {
    address,
    release() {
      if (released) return
      released = true
      handlers.delete(address)
      free.push(address)
    },
  }
}

function allocate(): number {
  made++
  return Number(koffi.alloc('uint64_t', (LITERAL_SIZE + DESCRIPTOR_SIZE) / 8))
}

function invokeOf(shape: BlockShape): number {
  const known = invokes.get(shape)
  if (known !== undefined) return known
  const call =
    shape === 'object'
      ? (block: number, object: number) => handlers.get(block)?.(0, object)
      : (block: number, value: number, object = 0) => handlers.get(block)?.(value, object)
  const invoke = Number(koffi.register(call, koffi.pointer(koffi.proto('void', prototypes[shape]))))
  pinCodeAt(invoke)
  invokes.set(shape, invoke)
  return invoke
}
