import { formatTimestamp } from '../../kernel/values/time.ts'
import { readBody } from '../protocols/http/request/body.ts'
import { jsonWithoutId } from '../protocols/http/call.ts'
import { answerOnce, idempotencyHeader } from '../protocols/http/request/idempotent.ts'
import type { Route } from '../protocols/http/route.ts'
import type { Acting } from './acts/act.ts'
import { runAct } from './acts/act.ts'
import { modelActs } from './acts/model-acts.ts'
import { operationActs } from './acts/operation-acts.ts'
import { pipelineActs } from './acts/pipeline-acts.ts'
import type { KeptAnswers } from './read-routes.ts'
import type { SessionDeps } from './session/require-session.ts'
import { requireSession } from './session/require-session.ts'

const maxBodyBytes = 16 * 1024

/** The routes that change something, one for each act. */
export function actRoutes(sessionDeps: SessionDeps, kept: Pick<KeptAnswers, 'forget'>): readonly Route[] {
  return [...modelActs, ...operationActs, ...pipelineActs].map((one): Route => ({
    method: 'POST',
    path: `/ui/api${one.path}`,
    scope: null,
    isOwnOrigin: true,
    summary: '',
    tag: '',
    async handle(call, deps) {
      const db = deps.upkeep.database()
      const session = await requireSession(call, db, sessionDeps, one.scope)
      const body = await readBody(call, maxBodyBytes, one.body)
      const by = { actor: session.actor, reason: body.reason, requestId: call.requestId }
      const acting: Acting = { call, deps, db, session, params: call.params, body, by }
      const answerWith = (data: unknown) => jsonWithoutId({ data, asOf: formatTimestamp(deps.clock()) })
      let data: unknown
      const handle = async () => answerWith((data = await runAct(one, acting).finally(() => kept.forget())))
      if (call.incoming.headers[idempotencyHeader] === undefined) return await handle()
      // "ui " is the beginning of no key's id
      const owner = `ui ${session.actor}`
      return await answerOnce(call, deps, {
        owner,
        handle,
        stored: (answer) => (one.withoutSecret ? answerWith(one.withoutSecret(data)) : answer),
      })
    },
  }))
}
