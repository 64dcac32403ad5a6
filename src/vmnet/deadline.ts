/** Answers that come through a block, or not at all. */
import { VmnetError } from './status.js'

/** What the handler of a block settles. Rejects with VmnetError when nothing came in `timeoutMs`. */
export function answerOf<Answer>(
  what: string,
  timeoutMs: number,
): { answer: Promise<Answer>; settle: (answer: Answer) => void } {
  let settle: (answer: Answer) => void = () => {}
  const answer = new Promise<Answer>((resolve, reject) => {
    // Also what keeps the process alive: a block that is to be called does not.
    const timer = setTimeout(() => reject(new VmnetError(what, 0, true)), timeoutMs)
    settle = value => {
      clearTimeout(timer)
      resolve(value)
    }
  })
  return { answer, settle }
}
