import type { z } from 'zod'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './call.ts'
import { readBody } from './request/body.ts'
import { checkQuery } from './request/check-query.ts'
import type { Route } from './route.ts'

interface CheckedRoute<Body extends z.ZodType, Query extends z.ZodObject> extends Omit<Route, 'handle'> {
  readonly body?: Body
  readonly query?: Query
  handle(
    call: Call,
    deps: ServingContext,
    sent: { readonly body: z.output<Body>; readonly query: z.output<Query> },
  ): RouteAnswer | Promise<RouteAnswer>
}

/** A route whose handler gets the query and the body as its schemas read them. */
export function checkedRoute<Body extends z.ZodType, Query extends z.ZodObject>(route: CheckedRoute<Body, Query>): Route {
  const { body: bodySchema, query: querySchema, bodyLimitBytes, bodyOptional } = route
  return {
    ...route,
    async handle(call, deps) {
      const query = (querySchema === undefined ? {} : checkQuery(call, querySchema)) as z.output<Query>
      const limitBytes = bodyLimitBytes ?? deps.bodyLimitBytes
      const body = (
        bodySchema === undefined ? undefined : await readBody(call, limitBytes, bodySchema, bodyOptional && ({} as z.output<Body>))
      ) as z.output<Body>
      return await route.handle(call, deps, { body, query })
    },
  }
}
