/**
 * How much longer than in the suite a test goes on: TAPSWITCH_SCALE=100 sends a hundred times as many frames. The suite
 * runs with 1.
 */
const { TAPSWITCH_SCALE = '1' } = process.env

export const scale = Math.max(1, Number.parseFloat(TAPSWITCH_SCALE) || 1)
