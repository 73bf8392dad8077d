/**
 * How many generated cases a property is tried with. Each failure that they have found is kept as a case of its own, so
 * one run needs few. They are other ones in each run, so that many runs of CI try many.
 *
 * `LOCKSTEP_TEST_CASES` is the share of all cases: a tenth by default. 10 runs ten times as many.
 *
 * @param all the cases at share 1
 */
export function budget(all: number): number {
  return Math.max(Math.ceil(all * share), Math.min(all, minCases))
}

/** Fewer cases would test hardly anything. */
const minCases = 10

const { LOCKSTEP_TEST_CASES: asked = '0.1' } = process.env
const share = Number(asked)
if (!(share > 0)) throw new Error(`"LOCKSTEP_TEST_CASES" is "${asked}"; it is a share of all cases, as 0.1 or 10.`)
