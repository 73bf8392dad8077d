/**
 * Why a version answered a row:
 *
 * - `champion`: it answers requests that name no version
 * - `canary`: a rollout gave it this row
 * - `arm`: it is a variant of an experiment
 * - `shadow`: its answer was compared only, and not sent
 * - `requested`: the request named it, and another version answers by default
 * - `backfill`: no request was made; `lockstep predictions backfill` computed what it would have answered
 */
export type Role = 'champion' | 'canary' | 'arm' | 'shadow' | 'requested' | 'backfill'

/** The roles of answers that clients got. */
export const clientRoles: readonly Role[] = ['champion', 'canary', 'arm', 'requested']

/** The same, and the roles of what would have been answered. */
export const clientAndBackfillRoles: readonly Role[] = [...clientRoles, 'backfill']

/** By what a version answered rows, as the answer and the prediction log have it. */
export interface ServedAs {
  readonly role: Role
  /** null: no experiment. */
  readonly experiment: string | null
  /** The variant of the experiment; null: no experiment. */
  readonly variant: string | null
  /** The candidate in whose place the champion answered, because it failed; absent: none. */
  readonly bypassed?: number | undefined
}
