/**
 * Seed of everything random in the tests. It is fixed, so that a run on another machine is the same run.
 * TAPSWITCH_SEED=random draws another one in each process, to explore; TAPSWITCH_SEED=NUMBER repeats a run. A test that
 * fails prints its seed.
 */
const FIXED = 20_261

const { TAPSWITCH_SEED = '' } = process.env

export const seed = TAPSWITCH_SEED === 'random' ? Date.now() % 2 ** 31 : Number.parseInt(TAPSWITCH_SEED, 10) || FIXED
