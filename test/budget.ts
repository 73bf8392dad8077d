/**
 * How many generated cases a property is tried with. Each failure that they have found is kept as a case of its own, so
 * that a run on a laptop needs few; CI looks for new ones.
 *
 * `LOCKSTEP_TEST_CASES` is the share of all cases: by default 1 where `CI` is set, and a tenth elsewhere. 10 runs ten
 * times as many.
 *
 * @param all the cases of a run in CI
 */
export function budget(all: number): number {
  return Math.max(Math.ceil(all * share), Math.min(all, least))
}

/** Fewer would hardly be generated cases. */
const least = 10

const { LOCKSTEP_TEST_CASES: asked = '', CI = '' } = process.env
const share = asked === '' ? (CI === '' ? 0.1 : 1) : Number(asked)
if (!(share > 0)) throw new Error(`"LOCKSTEP_TEST_CASES" is "${asked}"; it is a share of all cases, as 0.1 or 10.`)
