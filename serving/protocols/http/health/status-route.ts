import { z } from 'zod'
import { registryStatus } from '../../../find/registry-status.ts'
import { jsonAnswer } from '../call.ts'
import { datasetFields } from '../data/dataset-schemas.ts'
import { requestId } from '../response/response-schemas.ts'
import type { Route } from '../route.ts'

const seconds = z.number().nullable()
const lastRun = z.object({
  view: z.string().describe('The view'),
  fingerprint: z.string().describe("The hash of the view's meaning then"),
  store: z.string().describe('The id of the online store'),
  rows: z.int().describe('The rows that it folded'),
  entities: z.int().describe('The entities that it wrote'),
  moment: z.string().describe('The moment that it counted as now, RFC 3339'),
  frontier: z.number().describe('The store has all rows of transactions below it'),
  startedAt: z.string().describe('When it began, RFC 3339'),
  finishedAt: z.string().describe('When it ended, RFC 3339'),
  ageMs: z.number().describe('How long ago it ended, milliseconds'),
})
const freshness = z.object({
  newestRowSeconds: seconds.describe('How long ago the newest of the rows that arrived last happened; null: unknown'),
  lastRunSeconds: seconds.describe('The time since the end of the last run; null: there was none'),
  lag: z
    .object({
      rows: z.int().describe('The rows that the source has and the store lacks; 10,000: that many or more'),
      transactions: z.int().describe('The transactions of these rows'),
      seconds: z.number().describe('How long they may have waited, at most'),
    })
    .nullable()
    .describe('How far it is behind its source; null: unknown'),
  late: z.string().nullable().describe('Why it is further behind than it may be, and what to do; null: it is not'),
  setAside: z
    .object({
      entities: z.int().describe('How many'),
      messages: z.array(z.string()).readonly().describe('Why, and what to do, for the first few'),
    })
    .describe('Entities without a state, because their rows cannot be folded'),
  failing: z
    .object({
      runs: z.int().describe('How many runs in a row have failed'),
      seconds: z.number().describe('The time since the first of them'),
    })
    .nullable()
    .describe('Whether its runs fail; null: they do not'),
  freshnessSeconds: seconds.describe('How far behind its source it may be; null: nothing is declared'),
})
const view = z.object({
  id: z.string().describe('Its name and version'),
  fingerprint: z.string().describe('The hash of its meaning'),
  online: z.boolean().describe('Whether it is kept in the online store'),
  availability: z
    .object({
      kind: z.enum(['continuous', 'schedule']).describe('Whether rows count at once, or by a schedule'),
      schedule: z.string().optional().describe('Five fields of cron, in UTC'),
      delayMicros: z.int().optional().describe('How long after that, microseconds'),
    })
    .describe('When rows count'),
  lastRun: lastRun.nullable().describe('The last run that ended; null: none'),
  freshness: freshness.nullable().describe('How fresh it is; null: it is not online'),
  served: z
    .object({
      medianSeconds: z.number().describe('The median'),
      p95Seconds: z.number().describe('The 95th percentile'),
      leastSeconds: z.number().describe('The least'),
      answers: z.int().describe('How many answers were looked at'),
    })
    .nullable()
    .describe('How old it was in answers; null: no answer was looked at'),
})
const stream = z.object({
  source: z.string().describe('The source'),
  spec: z
    .object({
      kind: z.enum(['redis', 'nats', 'kafka']).describe('The kind of stream'),
      field: z.string().optional().describe('In Redis: the field with the message'),
      subject: z.string().nullable().optional().describe('In NATS: only messages of this subject; null: all'),
      format: z.literal('avro').optional().describe('In Kafka: Avro in place of JSON'),
      stream: z.string().describe('Its name'),
      group: z.string().describe('The consumer group'),
    })
    .describe('The stream'),
  lag: z
    .object({ waiting: z.int().describe('Messages that wait'), pending: z.int().describe('Messages given to a worker') })
    .nullable()
    .describe('How many messages wait; null: unknown'),
  problem: z.string().nullable().describe('Why that is unknown'),
  deadLetters: z
    .object({
      count: z.int().describe('How many'),
      lastAt: z.string().describe('When the newest arrived, RFC 3339'),
      lastError: z.string().describe('Why the newest became no row'),
    })
    .nullable()
    .describe('Its dead letters, and the newest of them; null: there are none'),
})
const thing = z.object({
  kind: z
    .enum(['alert', 'job', 'view', 'source', 'model', 'rollout', 'pipeline', 'now'])
    .describe('The kind of thing; now: the registry, or a store or worker'),
  id: z.string().describe('Its name or id'),
})
const problem = z.object({
  severity: z.enum(['page', 'warn', 'info']).describe('How severe it is'),
  what: z.string().describe('The problem'),
  since: z.string().nullable().describe('The time since which it is wrong, RFC 3339; null: unknown'),
  cause: z.string().nullable().describe('The likely cause; null: unknown'),
  todo: z.string().nullable().describe('What to do'),
  link: thing.describe('Where the dashboard shows it'),
  about: thing.nullable().describe('The subject; null: the target of the link'),
  command: z.string().nullable().describe('A command that helps'),
})
const relation = z.object({
  kind: z.enum(['table', 'sql', 'owned']).describe('A table of yours, a query, or a table that Lockstep creates'),
  table: z.string().optional().describe('The table'),
  sql: z.string().optional().describe('The query'),
})

export const statusAnswer = z.object({
  database: z.string().describe('The kind of database'),
  store: z
    .object({
      kind: z.string().describe('redis or embedded'),
      identity: z.string().nullable().describe('Its id; null: it is down'),
      problem: z.string().nullable().describe('Why it does not answer; null: it does'),
    })
    .describe('The online store'),
  revision: z.int().describe('The revision of the registry'),
  views: z.array(view).describe('All feature views'),
  servedSince: z.string().describe('The start of the window of "served", RFC 3339'),
  oldestTransaction: z
    .object({
      pid: z.int().nullable().describe('The PostgreSQL process; null: it is prepared'),
      application: z.string().describe('Its application'),
      database: z.string().describe('Its database'),
      state: z.string().describe('Its state'),
      seconds: seconds.describe('How long it has been open; null: unknown'),
    })
    .nullable()
    .describe('The oldest open transaction that may have written; null: there is none'),
  services: z.array(z.string()).describe('The feature services'),
  sources: z
    .array(
      z.object({
        name: z.string().describe('Its name'),
        relation: relation.describe('The table or query that it reads'),
        files: z
          .object({
            patterns: z.array(z.string()).readonly().describe('Their names'),
            fromMicros: z.int().nullable().describe('Earlier rows are not loaded, epoch microseconds; null: all are'),
            schedule: z.string().nullable().describe('When workers look for new files; null: they do not'),
          })
          .nullable()
          .describe('The Parquet files that feed it; null: none'),
      }),
    )
    .describe('The sources'),
  streams: z.array(stream).describe('The streams that feed sources'),
  models: z
    .array(
      z.object({
        name: z.string().describe('Its name'),
        service: z.string().describe('Its feature service'),
        versions: z.array(z.int()).describe('Its versions'),
      }),
    )
    .describe('The models'),
  datasets: z.array(z.object(datasetFields)).describe('The training sets, newest first'),
  notReady: z
    .array(
      z.object({
        view: z.string().describe('The view'),
        code: z.string().describe('The code'),
        problem: z.string().describe('Why, and what to do'),
        partial: z.literal(true).optional().describe('Only the states of one server of the store are gone'),
      }),
    )
    .describe('Views that the online store does not hold completely'),
  worker: z.boolean().nullable().describe('Whether a worker is connected; null: none is needed'),
  removing: z
    .array(
      z.object({
        view: z.string().describe('The view'),
        removed: z.int().describe('The keys that are deleted so far'),
        requestedAt: z.string().describe('The time of the request, RFC 3339'),
      }),
    )
    .describe('Views that are being deleted from the online store'),
  erasing: z.int().describe('How many erasures are not finished'),
  problems: z
    .array(
      problem.extend({
        id: z.string().describe('Its name'),
        consequences: z.array(problem).readonly().describe('Its likely consequences, the worst first'),
      }),
    )
    .describe('The problems, each cause once, the worst first'),
  broken: z
    .array(z.object({ id: z.string().describe('Its id'), code: z.string().describe('The code'), message: z.string().describe('Why') }))
    .describe('Definitions that cannot be used'),
  backfills: z
    .array(
      z.looseObject({
        id: z.int().describe('The id of its job'),
        view: z.string().describe('The view'),
        chunks: z.int().describe('The number of its parts'),
        chunksDone: z.int().describe('How many of them are done'),
        secondsLeft: seconds.describe('At the pace so far; null: unknown'),
      }),
    )
    .describe('The backfills that run'),
  deadLetters: z
    .array(
      z.object({
        view: z.string().describe('The view'),
        moment: z.string().describe('The moment of the run, RFC 3339'),
        error: z.string().describe('Why it failed'),
        attempts: z.int().describe('How often it was tried'),
        at: z.string().describe('When it was last tried, RFC 3339'),
        isProblem: z.boolean().describe('Whether it is among the problems, too'),
      }),
    )
    .describe('Scheduled runs that were given up'),
  requestId,
})
export type StatusAnswer = Omit<z.output<typeof statusAnswer>, 'requestId'>

/** The route of `lockstep status`. Messages about entities have their keys, so it needs the scope `admin`. */
export const statusRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/status',
    scope: 'admin',
    summary: 'Views with their freshness and last run, sources, streams, models, training sets and background work',
    tag: 'Find',
    answer: statusAnswer,
    async handle(call, { upkeep, catalog }) {
      const { database, store, storeKind, streams } = upkeep
      const status = await registryStatus({ db: database(), catalog: catalog(), store, storeKind, streams })
      return jsonAnswer(call, status)
    },
  },
]
