/** Numbers and times for people. */

const prefixes = ['', 'k', 'M', 'G', 'T']

/** Three digits with an SI prefix: 950, 12.3k, 4.56M. */
export function short(value: number): string {
  let scaled = value
  let step = 0
  while (Math.abs(scaled) >= 999.5 && step < prefixes.length - 1) {
    scaled /= 1000
    step++
  }
  const digits = Number.isInteger(scaled) && step === 0 ? 0 : scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2
  return `${scaled.toFixed(digits)}${prefixes[step]}`
}

export function age(seconds: number | null): string {
  if (seconds === null) return 'static'
  return seconds < 90 ? `${Math.round(seconds)} s ago` : `${Math.round(seconds / 60)} min ago`
}

export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`
  return seconds < 129_600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}
