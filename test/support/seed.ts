/**
 * Seed of everything random in the tests: a new one in every run, so that runs add up. It is printed where it matters, and
 * TAPSWITCH_SEED repeats that run.
 */
const { TAPSWITCH_SEED } = process.env

export const seed = Number.parseInt(TAPSWITCH_SEED ?? '', 10) || Date.now() % 2 ** 31
