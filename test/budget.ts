/**
 * The number of generated cases for a property. Each failure that was found is kept as a separate test, so that a run
 * on a laptop needs few generated cases; CI searches for new failures.
 *
 * `LOCKSTEP_TEST_CASES` is the share of all cases: by default 1 where `CI` is set, and a tenth elsewhere. 10 runs ten
 * times as many.
 *
 * @param all the number of cases of a run in CI
 */
export function budget(all: number): number {
  return Math.max(Math.ceil(all * share), Math.min(all, least))
}

/** Fewer would hardly be generated cases. */
const least = 10

const { LOCKSTEP_TEST_CASES: asked = '', CI = '' } = process.env
const share = asked === '' ? (CI === '' ? 0.1 : 1) : Number(asked)
if (!(share > 0)) throw new Error(`"LOCKSTEP_TEST_CASES" is "${asked}"; it is a share of all cases, as 0.1 or 10.`)
