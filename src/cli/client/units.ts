/** Numbers for people, in a width that does not jump: 950, 12.3k, 4.56M. */

const prefixes = ['', 'k', 'M', 'G', 'T', 'P']

/** Three digits that count, with an SI prefix (powers of 1000). */
export function shortNumber(value: number): string {
  let scaled = value
  let step = 0
  while (Math.abs(scaled) >= 999.5 && step < prefixes.length - 1) {
    scaled /= 1000
    step++
  }
  const digits =
    step === 0 && Number.isInteger(value) ? 0 : Math.abs(scaled) >= 99.95 ? 0 : Math.abs(scaled) >= 9.995 ? 1 : 2
  return `${scaled.toFixed(digits)}${prefixes[step]}`
}

/** `3 s`, `12 min`, `5 h`, `2 d`. */
export function shortDuration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} d`
}
