import type { z } from 'zod'

/** So many are told: whoever mends these sees the next ones. */
const maxTold = 10

export interface ToldIssues {
  /** Them all in a sentence, without its full stop. */
  readonly said: string
  readonly issues: readonly { readonly field: string; readonly problem: string }[]
}

/** What is wrong with a request, by the error of its schema: the first few, and how many more there are. */
export function toldIssues({ issues }: z.ZodError): ToldIssues {
  const told = issues.slice(0, maxTold).map((issue) => ({ field: issue.path.join('.'), problem: issue.message }))
  const said = told.map(({ field, problem }) => (field === '' ? problem : `"${field}": ${problem}`)).join('; ')
  const more = issues.length - told.length
  return { said: more === 0 ? said : `${said}; and ${more} more`, issues: told }
}
