/**
 * How many generated cases a property is tried with. Each failure that they have found is kept as a case of its own, so that a run on a laptop needs few;
 * CI looks for new ones.
 *
 * `LOCKSTEP_TEST_CASES` is the share of all cases: by default 1 where `CI` is set, and a fifth elsewhere. 10 runs ten times as many.
 *
 * @param all the cases of a run in CI
 */
export function budget(all: number): number {
  return Math.ceil(all * share)
}

const { LOCKSTEP_TEST_CASES: asked = '', CI = '' } = process.env
const share = asked === '' ? (CI === '' ? 0.2 : 1) : Number(asked)
if (!(share > 0)) throw new Error(`"LOCKSTEP_TEST_CASES" is "${asked}"; it is a share of all cases, as 0.2 or 10.`)
