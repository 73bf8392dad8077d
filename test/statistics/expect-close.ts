import { expect } from 'vitest'

/** Expects both to agree to 1e-9 of their size, or to 1e-13 near 0. */
export function expectClose(actual: number, expected: number, what: string): void {
  const allowed = Math.max(1e-13, Math.abs(expected) * 1e-9)
  expect(Math.abs(actual - expected), `${what}: ${actual}, not ${expected}`).toBeLessThanOrEqual(allowed)
}

/** As expectClose, for probabilities whose size counts however small they are. */
export function expectCloseRelative(actual: number, expected: number, what: string): void {
  const allowed = Math.max(Number.MIN_VALUE, Math.abs(expected) * 1e-9)
  expect(Math.abs(actual - expected), `${what}: ${actual}, not ${expected}`).toBeLessThanOrEqual(allowed)
}
