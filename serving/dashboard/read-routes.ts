import { setImmediate as nextTurn } from 'node:timers/promises'
import { z } from 'zod'
import { formatTimestamp, parseTimestamp } from '../../kernel/values/time.ts'
import { createSemaphore } from '../../runtime/async.ts'
import { cacheFor } from '../../runtime/cache-for.ts'
import { preparedReads } from '../../runtime/postgres/prepared-reads.ts'
import type { RouteAnswer } from '../protocols/http/call.ts'
import { checkQuery } from '../protocols/http/request/check-query.ts'
import type { Route } from '../protocols/http/route.ts'
import type { Ask } from './read-model.ts'
import { encodeAnswer } from './read-model.ts'
import { readModels } from './read-models.ts'
import type { SessionDeps } from './session/require-session.ts'
import { requireSession } from './session/require-session.ts'

/** How long an answer is given to all that ask the same: so many open pages cost about what one costs. */
const keptMs = 3000
const maxKept = 200
/** How many answers may be made at once, and how many may wait, so that pages never crowd out predictions. */
const maxMade = 4
const maxWaiting = 100

/** Every page can be opened as of a moment: figures are of the time before it. What has no history says so. */
const asOfQuery = z.object({ asOf: z.string().max(60).optional() })

type Encoded = ReturnType<typeof encodeAnswer>

/** Answers that are given to all that ask the same. */
export interface KeptAnswers {
  get(key: string, make: () => Promise<Encoded>): Promise<Encoded>
  /** Drops the kept answers. */
  forget(): void
}

export function createKeptAnswers(): KeptAnswers {
  const kept = new Map<string, () => Promise<Encoded>>()
  return {
    get(key, make) {
      let answer = kept.get(key)
      if (answer === undefined) {
        if (kept.size >= maxKept) kept.clear()
        const fresh = cacheFor(keptMs, make)
        kept.set(key, (answer = fresh))
        setTimeout(() => {
          if (kept.get(key) === fresh) kept.delete(key)
        }, keptMs).unref()
      }
      return answer()
    },
    forget: () => kept.clear(),
  }
}

/** The routes that read, one for each read model. */
export function readRoutes(sessionDeps: SessionDeps, kept: KeptAnswers): readonly Route[] {
  const inTurn = createSemaphore({ permits: maxMade, queue: { max: maxWaiting, name: 'pages of the dashboard' } })

  return readModels.map((model): Route => ({
    method: 'GET',
    path: `/ui/api${model.path}`,
    scope: null,
    isOwnOrigin: true,
    summary: '',
    tag: '',
    async handle(call, deps) {
      const db = preparedReads(deps.upkeep.database())
      const session = await requireSession(call, db, sessionDeps, model.scope)
      const query = model.query === undefined ? {} : checkQuery(call, model.query)
      const { asOf } = checkQuery(call, asOfQuery)
      const asked = asOf === undefined || asOf === '' ? null : parseTimestamp(asOf)
      const past = model.isOfNow === true ? null : asked
      const { requestId, params } = call
      const ask: Ask = {
        deps,
        db,
        settings: sessionDeps.settings,
        session,
        requestId,
        params,
        query,
        now: past ?? deps.clock(),
        isPast: past !== null,
      }
      const make = () =>
        inTurn(async () => {
          const page = await model.read(ask)
          // reading ends with work of its own
          await nextTurn()
          return encodeAnswer(page, formatTimestamp(ask.now))
        })
      const made = await (model.isPersonal === true ? make() : kept.get(JSON.stringify([model.path, params, query, past]), make))
      return unlessKnown(call.incoming.headers['if-none-match'], made)
    },
  }))
}

/** Answers 304 to a page that has these data. */
function unlessKnown(known: string | undefined, { etag, answer }: Encoded): RouteAnswer {
  const isKnown = known?.split(',').some((each) => each.trim().replace(/^W\//, '') === etag) === true
  return isKnown ? { status: 304, body: null, headers: { etag } } : answer
}
