import { z } from './zod-compiler.js'

/** A whole number in a URL, between two bounds; zod's own coercion would also take '', '0x10' and '1e3'. */
export function wholeNumber(least: number, most: number) {
  return z
    .string()
    .regex(/^\d{1,10}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(least).max(most))
}
