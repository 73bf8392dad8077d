import type { Context } from 'hono'
import { z } from 'zod'
import { championAlias } from '../../registry/model-aliases.ts'
import type { Actor } from '../../registry/model-events.ts'
import { maxModelEvents } from '../../registry/model-events.ts'
import type { TakenChange } from '../model-changes.ts'
import { aliasChangeAnswer, modelHistoryAnswer } from './answers.ts'
import { readBody } from './body.ts'
import { checkQuery } from './check-query.ts'
import type { RequestEnv, RouteAnswer } from './context.ts'
import { jsonAnswer } from './context.ts'
import { versionSchema } from './model-version-schema.ts'
import type { Route } from './route.ts'

const reason = z
  .string()
  .max(2000)
  .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be Unicode without zero bytes and lone surrogates')
  .optional()
  .describe('Why, for the history')
const alias = z.string().optional().describe('Another alias than champion')

const promoteSchema = z.strictObject({ version: versionSchema, reason })
const rollbackSchema = z.strictObject({ alias, reason })
const aliasSchema = z.strictObject({ version: versionSchema, reason })
/** 202: it is made, and not in force on this server yet. */
const changeStatuses = [200, 202]
const historyQuery = z.object({ limit: z.coerce.number().int().min(1).max(maxModelEvents).optional() })
const removeQuery = z.object({ reason })

/** What changes which version of a model answers, and tells what was changed. */
export const modelChangeRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/models/:name/promote',
    scope: 'admin',
    summary: 'Make a version the champion, which answers requests that name none',
    tag: 'Models',
    body: promoteSchema,
    example: { version: 3, reason: 'better on June' },
    status: changeStatuses,
    answer: aliasChangeAnswer,
    async handle(c, deps) {
      const body = await readBody(c, deps.bodyLimitBytes, promoteSchema)
      return changed(c, await deps.modelChanges.promote(nameOf(c), body.version, championAlias, actorOf(c, body.reason)))
    },
  },
  {
    method: 'POST',
    path: '/v1/models/:name/rollback',
    scope: 'admin',
    summary: 'Make the version the champion again that was it before',
    tag: 'Models',
    body: rollbackSchema,
    example: { reason: 'errors since noon' },
    status: changeStatuses,
    answer: aliasChangeAnswer,
    async handle(c, deps) {
      const body = await readBody(c, deps.bodyLimitBytes, rollbackSchema)
      return changed(c, await deps.modelChanges.rollBack(nameOf(c), body.alias ?? championAlias, actorOf(c, body.reason)))
    },
  },
  {
    method: 'PUT',
    path: '/v1/models/:name/aliases/:alias',
    scope: 'admin',
    summary: 'Point an alias at a version',
    tag: 'Models',
    body: aliasSchema,
    example: { version: 4 },
    status: changeStatuses,
    answer: aliasChangeAnswer,
    async handle(c, deps) {
      const body = await readBody(c, deps.bodyLimitBytes, aliasSchema)
      return changed(c, await deps.modelChanges.promote(nameOf(c), body.version, aliasOf(c), actorOf(c, body.reason)))
    },
  },
  {
    method: 'DELETE',
    path: '/v1/models/:name/aliases/:alias',
    scope: 'admin',
    summary: 'Take an alias away',
    tag: 'Models',
    query: removeQuery,
    status: changeStatuses,
    answer: aliasChangeAnswer,
    async handle(c, deps) {
      const { reason: why } = checkQuery(c, removeQuery)
      return changed(c, await deps.modelChanges.remove(nameOf(c), aliasOf(c), actorOf(c, why)))
    },
  },
  {
    method: 'GET',
    path: '/v1/models/:name/history',
    scope: 'read',
    summary: 'What was done to a model, by whom, when and why, newest first',
    tag: 'Models',
    query: historyQuery,
    answer: modelHistoryAnswer,
    async handle(c, deps) {
      const { name } = deps.catalog().model(nameOf(c))
      const events = await deps.modelChanges.history(name, checkQuery(c, historyQuery).limit)
      return jsonAnswer({ model: name, events, requestId: c.get('requestId') })
    },
  },
]

function changed(c: Context<RequestEnv>, change: TakenChange): RouteAnswer {
  return jsonAnswer({ ...change, requestId: c.get('requestId') }, change.inForce ? 200 : 202)
}

function nameOf(c: Context<RequestEnv>): string {
  return c.req.param('name') ?? ''
}

function aliasOf(c: Context<RequestEnv>): string {
  return c.req.param('alias') ?? ''
}

/** The API key that the request came with, by its id; without keys nobody is known. */
function actorOf(c: Context<RequestEnv>, why: string | undefined): Actor {
  return { actor: c.get('principal') ?? 'http', reason: why }
}
