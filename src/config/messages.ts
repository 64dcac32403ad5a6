/**
 * What zod finds wrong, in the operator's words: one line for each problem, with the path, the value and what is
 * allowed.
 *
 * zod reports in two steps. While it parses it asks `issueMessage` for the text and shows it the schema, which knows
 * what it allows (fields.ts). Afterwards it returns a tree of issues: in a union there is one list for each member, and
 * only one of them is about what the operator meant. `problemsOf` picks that one: the member with the fewest signs of
 * being the wrong one, which are, the strongest first: another type, another literal, an unknown or missing option.
 */
import type { z } from 'zod'
import type { Problem } from '../errors.js'
import { allowedValues, misplacedOptions } from './fields.js'
import { nearest } from './nearest.js'

type RawIssue = z.core.$ZodRawIssue
type Issue = z.core.$ZodIssue

/** Text for one issue; where an issue names several keys, one line for each key. */
export function issueMessage(issue: RawIssue): string {
  const schema = issue.schema
  if (issue.code === 'unrecognized_keys') {
    const known = schema?._zod.def.type === 'object' ? Object.keys((schema as z.ZodObject).shape) : []
    const misplaced = (schema && misplacedOptions.get(schema)) ?? {}
    return issue.keys.map(key => unknownOption(key, known, misplaced)).join('\n')
  }
  if (issue.code === 'too_big' && issue.origin === 'array') {
    return `${(issue.input as readonly unknown[]).length} entries, at most ${issue.maximum} allowed`
  }
  const allowed = schema && allowedValues.get(schema)
  if (allowed?.hidden === true && typeof issue.input === 'string') return `must be ${allowed.text}`
  const message = mismatch(issue.input, allowed?.text ?? inGeneral(issue))
  // YAML takes `10`, `true` and `1e3` for other things than text.
  const isOther = typeof issue.input === 'number' || typeof issue.input === 'boolean'
  return allowed?.anyText === true && isOther ? `${message}; in quotes it is one: "${issue.input}"` : message
}

/** All problems in a list of issues; `at` is the path of the value they are about. */
export function problemsOf(issues: readonly Issue[], at: readonly PropertyKey[] = []): Problem[] {
  return issues.flatMap(issue => {
    const path = [...at, ...issue.path]
    if (issue.code === 'invalid_union') return unionProblems(issue, path)
    if (issue.code === 'unrecognized_keys') {
      const lines = issue.message.split('\n')
      return issue.keys.map((key, i) => ({ path: pathText([...path, key]), message: lines[i] }))
    }
    return [{ path: pathText(path), message: issue.message }]
  })
}

/** `["transports", 1, "listen"]` as `transports[1].listen`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i === 0 ? '' : '.'}${String(key)}`)).join('')
}

/** A value as the operator wrote it, on one line and not too long. */
export function valueText(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value !== 'string') return String(value)
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 59)}…` : value)
}

function mismatch(value: unknown, allowed: string): string {
  if (value === undefined) return `missing, must be ${allowed}`
  if (value === null) return `empty, must be ${allowed}`
  return `${valueText(value)} is not ${allowed}`
}

function unknownOption(key: string, known: readonly string[], misplaced: Record<string, string>): string {
  if (Object.hasOwn(misplaced, key)) return misplaced[key]
  const meant = nearest(key, known)
  if (meant !== undefined) return `unknown option, did you mean ${meant}?`
  return `unknown option, known here: ${known.filter(name => name !== '$schema').join(', ')}`
}

function unionProblems(issue: Extract<Issue, { code: 'invalid_union' }>, path: readonly PropertyKey[]): Problem[] {
  const members = issue.errors.filter(issues => !issues.some(isAboutTheWhole))
  if (members.length === 0) return [{ path: pathText(path), message: issue.message }]
  const types = members.map(issues => issues.map(wrongType).find(type => type !== undefined))
  if (types.every(type => type !== undefined)) {
    const known = [...new Set(types.flatMap(type => type.values))].map(valueText).join(', ')
    const message = mismatch(types[0]?.input, `a type of this version: ${known}`)
    return [{ path: pathText([...path, 'type']), message }]
  }
  const likely = members.reduce((best, issues) => (strangeness(issues) < strangeness(best) ? issues : best))
  return problemsOf(likely, path)
}

/** The value is of another kind altogether, such as a number where a mapping belongs. */
function isAboutTheWhole(issue: Issue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value')
}

type WrongValue = Extract<Issue, { code: 'invalid_value' }>

function wrongType(issue: Issue): WrongValue | undefined {
  return issue.code === 'invalid_value' && issue.path.length === 1 && issue.path[0] === 'type' ? issue : undefined
}

function strangeness(issues: readonly Issue[]): number {
  let sum = 0
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') sum += 10 * issue.keys.length
    else if (wrongType(issue) !== undefined) sum += 1000
    else if (issue.input === undefined) sum += 10
    else if (issue.code === 'invalid_value' && issue.values.length === 1) sum += 11
  }
  return sum
}

/** For a schema that does not say what it allows, what can be told from the issue. */
function inGeneral(issue: RawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'string'
        ? 'a string'
        : issue.expected === 'object'
          ? 'a mapping'
          : `of type ${issue.expected}`
    case 'invalid_value':
      return issue.values.length === 1 ? valueText(issue.values[0]) : `one of ${issue.values.map(valueText).join(', ')}`
    case 'too_big':
      return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`
    case 'too_small':
      return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`
    case 'invalid_format':
      return issue.pattern === undefined ? `a valid ${issue.format}` : `of the form ${issue.pattern}`
    default:
      return 'allowed here'
  }
}
