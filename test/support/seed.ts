/**
 * Seed of the property tests: a new one in every run, so that runs add up; fast-check prints it when a property fails,
 * and PROPERTY_SEED repeats that run.
 */
const { PROPERTY_SEED } = process.env

export const seed = Number.parseInt(PROPERTY_SEED ?? '', 10) || Date.now() % 2 ** 31
