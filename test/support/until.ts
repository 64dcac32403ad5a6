/**
 * Resolves when the condition holds. For what another thread counts in shared memory, and what the kernel or another
 * process changes without telling; where there is an event, wait for that. Rejects after `timeoutMs`.
 */
export async function until(condition: () => boolean, what: string, timeoutMs = 8000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
