import { shellText } from './shell-text.ts'

/** The same facts without the dashboard. */
interface Offer {
  readonly command: string
  /** Undefined: no server answers it by HTTP. */
  readonly curl?: string
  readonly typescript: string
  readonly sql: string
  /** Set if it is of a moment of its own, or the same at all moments. */
  readonly isFixed?: true
}

/** @param at the moment that the page shows; undefined: now. A text that does not change with it shows now. */
export type Ways = (at?: string) => Offer

const authorization = '-H "authorization: Bearer $KEY"'
const header = 'authorization: `Bearer ${KEY}`'
const settings = 'const { LOCKSTEP, KEY } = process.env'

/** A GET request of the public interface, in two ways. */
function get(path: string): { readonly curl: string; readonly typescript: string } {
  return {
    curl: `curl "$LOCKSTEP${path}" ${authorization}`,
    typescript: `${settings}
const answer = await fetch(\`\${LOCKSTEP}${path}\`, { headers: { ${header} } })
console.log(await answer.json())`,
  }
}

/** The metrics of a server whose names begin with a word. */
function metrics(word: string): { readonly curl: string; readonly typescript: string } {
  return {
    curl: `curl "$LOCKSTEP/metrics" ${authorization} | grep ${word}`,
    typescript: `${settings}
const answer = await fetch(\`\${LOCKSTEP}/metrics\`, { headers: { ${header} } })
const lines = (await answer.text()).split('\\n')
console.log(lines.filter((line) => line.startsWith('${word}')))`,
  }
}

/** A query of what no server answers by HTTP, in two ways. */
function query(sql: string): { readonly sql: string; readonly typescript: string } {
  return {
    sql,
    typescript: `import { Client } from 'pg'

const db = new Client(process.env.LOCKSTEP_POSTGRES_URL)
await db.connect()
const { rows } = await db.query(${JSON.stringify(sql.replaceAll('\n', ' '))})
console.log(rows)
await db.end()`,
  }
}

/** The query of an address, without what is not given. */
function queryOf(given: Readonly<Record<string, string | undefined>>): string {
  const parts = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${part(value)}`]))
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

/** A name as a part of an address. */
function part(name: string): string {
  return encodeURIComponent(name).replaceAll('!', '%21')
}

function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** A name and its version: `airport_delays@1`. */
function split(id: string): readonly [name: string, version: string | undefined] {
  const [name = id, version] = id.split('@')
  return [name, version]
}

/** The kind and name of a node's key: `view airport_delays@1`. */
function keyParts(key: string): readonly [kind: string, name: string] {
  const space = key.indexOf(' ')
  return [key.slice(0, space), key.slice(space + 1)]
}

/** A moment in SQL. */
function sqlMoment(at: string): string {
  return `timestamptz ${sqlText(at)}`
}

/** A condition on what there was at a moment. */
function until(column: string, at: string | undefined, word: 'WHERE' | 'AND' = 'AND'): string {
  return at === undefined ? '' : ` ${word} ${column} <= ${sqlMoment(at)}`
}

/** A column with a moment, which was not known before it. */
function knownAt(column: string, at: string | undefined): string {
  return at === undefined ? column : `CASE WHEN ${column} <= ${sqlMoment(at)} THEN ${column} END AS ${column}`
}

/** A condition on the definitions that there were at a moment. */
function defined(at: string | undefined): string {
  const kept = at === undefined ? 'retired_at IS NULL' : `(retired_at IS NULL OR retired_at > ${sqlMoment(at)})`
  return `${kept}${until('created_at', at)}`
}

/** A query of the definitions that are made from something, and from these. @param id `airport_delays@1`, `landings` */
function madeFrom(kind: string, id: string, at: string | undefined): string {
  const [name, version = '0'] = split(id)
  return `WITH RECURSIVE made AS (
  SELECT ${sqlText(kind)} AS kind, ${sqlText(name)} AS name, ${Number(version) || 0} AS version
  UNION SELECT d.kind, d.name, d.version
  FROM made m, (SELECT * FROM lockstep.definitions WHERE ${defined(at)}) d
  WHERE jsonb_path_exists(d.spec::jsonb, '$.** ? (@.entity.name == $id || @.source.name == $id || @.source == $id || @.view == $id
    || @.onDemand == $id || @.service == $id || @.model == $id)',
    jsonb_build_object('id', m.name || CASE WHEN m.version > 0 THEN '@' || m.version ELSE '' END))
) SELECT * FROM made`
}

/** The requests of the hour before. */
function loggedInHour(at: string | undefined, beside = ''): string {
  const end = at === undefined ? 'now()' : sqlMoment(at)
  return `FROM lockstep.prediction_log${beside} WHERE role <> 'backfill' AND at > ${end} - interval '1 hour'${until('at', at)}`
}

export const waysOf = {
  catalog: (): Ways => (at) => ({
    command: 'lockstep list',
    ...get('/v1/entries'),
    sql: `SELECT kind, name, version, created_at FROM lockstep.definitions WHERE ${defined(at)} ORDER BY kind, name, version`,
  }),
  /** Of all models, in the last hour. */
  traffic: (): Ways => (at) => ({
    command: 'lockstep model list',
    ...metrics('lockstep_model_request_seconds'),
    sql: `-- of the requests that are logged\nSELECT date_trunc('minute', at) AS minute, model, count(*) ${loggedInHour(at)} GROUP BY 1, 2 ORDER BY 1`,
  }),
  times: (): Ways => (at) => ({
    command: 'lockstep model list',
    ...metrics('lockstep_model_request_seconds'),
    sql: `-- of the requests that are logged
SELECT model, percentile_cont(array[0.5, 0.99]) WITHIN GROUP (ORDER BY latency_micros / 1000.0) AS ms ${loggedInHour(at)} GROUP BY 1`,
  }),
  models: (): Ways => (at) => ({
    command: 'lockstep model list',
    ...get('/v1/models'),
    sql: `SELECT model, version, created_at, size_bytes FROM lockstep.model_versions${until('created_at', at, 'WHERE')} ORDER BY model, version`,
  }),
  model:
    (name: string): Ways =>
    (at) => ({
      command: `lockstep model show ${shellText(name)}`,
      ...get(`/v1/models/${part(name)}`),
      sql: `SELECT version, created_at, size_bytes, inputs FROM lockstep.model_versions WHERE model = ${sqlText(name)}${until('created_at', at)} ORDER BY version`,
    }),
  modelTraffic:
    (name: string): Ways =>
    (at) => ({
      command: `lockstep stats ${shellText(name)}`,
      ...get(`/v1/models/${part(name)}/statistics${queryOf({ to: at })}`),
      sql: `-- of the requests that are logged
SELECT date_trunc('minute', at) AS minute, version, count(*), avg(latency_micros) / 1000 AS ms
${loggedInHour(at)} AND model = ${sqlText(name)} GROUP BY 1, 2 ORDER BY 1`,
    }),
  /** @param output one of the model's, which the query shows: its mean, or its values; null: it has none */
  overTime:
    (name: string, step: 'day' | 'hour', output: { readonly name: string; readonly kind: 'mean' | 'shares' } | null): Ways =>
    (at) => {
      const since = step === 'day' ? '30d' : '48h'
      const value = output === null ? '' : `outputs ->> ${sqlText(output.name)}`
      const shown =
        output === null
          ? ''
          : output.kind === 'mean'
            ? `, avg(nullif((${value})::float8, 'NaN')) AS mean, stddev(nullif((${value})::float8, 'NaN'))`
            : `, ${value} AS value`
      return {
        command: `lockstep stats ${shellText(name)} --since ${since} --step ${step} --by version`,
        ...get(`/v1/models/${part(name)}/statistics${queryOf({ since, step, by: 'version', to: at })}`),
        sql: `-- of the requests that are logged
SELECT date_trunc('${step}', at, 'UTC') AS ${step}, version, count(*)${shown} FROM lockstep.prediction_log
WHERE model = ${sqlText(name)} AND role IS DISTINCT FROM 'shadow' AND at > ${at === undefined ? 'now()' : sqlMoment(at)} - interval '${step === 'day' ? '30 days' : '48 hours'}'${until('at', at)}
GROUP BY 1, 2${output?.kind === 'shares' ? ', value' : ''} ORDER BY 1, 2`,
      }
    },
  /** What changed of a model, by whom. */
  modelChanges:
    (name: string): Ways =>
    (at) => ({
      command: `lockstep audit --what ${shellText(name)}`,
      ...get(`/v1/audit${queryOf({ what: name })}`),
      sql: `SELECT at, coalesce(actor_name, actor) AS who, action, subject, reason FROM lockstep.audit_log
WHERE split_part(subject, '@', 1) = ${sqlText(name)}${until('at', at)} ORDER BY id DESC LIMIT 100`,
    }),
  /** @param outcome a model can have several; null: no figures are stored */
  quality:
    (name: string, outcome: string | null): Ways =>
    (at) => ({
      command: `lockstep quality ${shellText(name)}${outcome === null ? '' : ` --outcome ${shellText(outcome)}`}${at === undefined ? '' : ` --as-of ${shellText(at)}`}`,
      ...get(`/v1/models/${part(name)}/quality${queryOf({ outcome: outcome ?? undefined, asOf: at })}`),
      sql: `SELECT as_of, version, report FROM lockstep.model_figures WHERE model = ${sqlText(name)} AND kind = 'quality'${until('as_of', at)} ORDER BY as_of DESC`,
    }),
  drift:
    (model: string): Ways =>
    (at) => ({
      command: `lockstep drift ${shellText(model)}`,
      ...get(`/v1/models/${part(model)}/drift`),
      sql: `SELECT as_of, version, report FROM lockstep.model_figures WHERE model = ${sqlText(model)} AND kind = 'drift'${until('as_of', at)} ORDER BY as_of DESC`,
    }),
  /**
   * The values of a feature as they were served.
   *
   * @param uses the models that take it, and its names in their services
   */
  served:
    (view: string, feature: string, uses: readonly { readonly model: string; readonly column: string }[]): Ways =>
    (at) => {
      const model = uses[0]?.model
      const columns = uses.length === 0 ? [feature] : [...new Set(uses.map(({ column }) => column))]
      return {
        command: model === undefined ? `lockstep show ${shellText(view)}` : `lockstep drift ${shellText(model)}`,
        ...(model === undefined ? get(`/v1/entries/${part(split(view)[0])}`) : get(`/v1/models/${part(model)}/drift`)),
        sql: `-- of the requests that are logged
SELECT feature, coalesce(statuses ->> feature, 'PRESENT') AS status, features ->> feature AS value, count(*)
${loggedInHour(at, `, unnest(array[${columns.map(sqlText).join(', ')}]) AS feature`)} AND features::jsonb ? feature
GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC`,
      }
    },
  /** @param kind as in the registry: `view`, `onDemand` */
  definition:
    (kind: string, id: string): Ways =>
    (at) => {
      const [name, version] = split(id)
      const of = `kind = ${sqlText(kind)} AND name = ${sqlText(name)}${version === undefined ? '' : ` AND version = ${Number(version)}`}`
      return {
        command: `lockstep show ${shellText(`${kind}/${id}`)}`,
        ...get(`/v1/entries/${part(name)}?kind=${kind}${version === undefined ? '' : `&version=${Number(version)}`}`),
        sql:
          at === undefined
            ? `SELECT spec, operational FROM lockstep.definitions WHERE ${of}`
            : `SELECT spec, operational, retired FROM lockstep.definition_states WHERE ${of}${until('at', at)} ORDER BY version DESC, id DESC LIMIT 1`,
      }
    },
  /** What something is made from and what is made from it. @param key of a node: `view airport_delays@1` */
  lineage: (key: string): Ways => {
    const [kind, name] = keyParts(key)
    return (at) => ({
      command: `lockstep lineage ${shellText(`${kind}/${name}`)}`,
      ...get(`/v1/lineage/${part(kind)}/${part(name)}`),
      sql: `-- what it is made from\n${waysOf.definition(kind, name)(at).sql};\n-- what is made from it\n${madeFrom(kind, name, at)}`,
    })
  },
  /** What is made from something. */
  readers:
    (kind: string, id: string): Ways =>
    (at) => ({
      command: `lockstep lineage ${shellText(`${kind}/${id}`)} --down`,
      ...get(`/v1/lineage/${part(kind)}/${part(id)}?direction=down`),
      sql: madeFrom(kind, id, at),
    }),
  /** What a plan does. @param key of a node that it changes; undefined: the registry has none of them */
  plan: (key: string | undefined): Ways => {
    const [kind, name] = keyParts(key ?? '')
    return (at) => ({
      command: 'lockstep plan features.ts --json',
      ...get(key === undefined ? '/v1/entries' : `/v1/lineage/${part(kind)}/${part(name)}?direction=down`),
      sql: key === undefined ? waysOf.catalog()(at).sql : madeFrom(kind, name, at),
    })
  },
  sourceFiles:
    (source: string): Ways =>
    (at) => ({
      command: `lockstep source files ${shellText(source)}`,
      ...get(`/v1/sources/${part(source)}/files`),
      sql: `SELECT path, rows, bytes, etag, synced_at FROM lockstep.source_files WHERE source = ${sqlText(source)}${until('synced_at', at)} ORDER BY synced_at DESC`,
    }),
  freshness:
    (view: string): Ways =>
    (at) => ({
      command: 'lockstep status',
      ...metrics('lockstep_served_age_seconds'),
      sql: `SELECT started_at, ${knownAt('finished_at', at)}, rows, entities FROM lockstep.materialization_runs
WHERE view = ${sqlText(view)}${until('started_at', at)} ORDER BY id DESC LIMIT 20`,
    }),
  rollout:
    (model: string): Ways =>
    (at) => ({
      command: `lockstep rollout show ${shellText(model)}`,
      ...get(`/v1/models/${part(model)}/rollout`),
      sql: `SELECT id, version, ${at === undefined ? 'state, share, ' : ''}started_at, ${knownAt('ended_at', at)} FROM lockstep.rollouts
WHERE model = ${sqlText(model)}${until('started_at', at)} ORDER BY id DESC`,
    }),
  decisions:
    (model: string): Ways =>
    (at) => ({
      command: `lockstep rollout replay ${shellText(model)}`,
      ...get(`/v1/models/${part(model)}/rollout`),
      sql: `SELECT d.at, d.action, d.share_before, d.share_after, d.decided_by, d.reasons
FROM lockstep.rollout_decisions d JOIN lockstep.rollouts r ON r.id = d.rollout
WHERE r.model = ${sqlText(model)}${until('d.at', at)} ORDER BY d.id DESC`,
    }),
  experiment:
    (name: string): Ways =>
    (at) => ({
      command: `lockstep experiment show ${shellText(name)}`,
      ...get(`/v1/experiments/${part(name)}/results`),
      sql: `SELECT r.as_of, r.result FROM lockstep.experiment_results r JOIN lockstep.experiments e ON e.id = r.experiment_id
WHERE e.name = ${sqlText(name)}${until('r.as_of', at)} ORDER BY r.as_of DESC`,
    }),
  exposures:
    (name: string): Ways =>
    (at) => ({
      command: `lockstep experiment export ${shellText(name)} --out units.parquet`,
      ...query(`SELECT x.exposed_at::date AS day, x.variant, count(*)
FROM lockstep.exposures x JOIN lockstep.experiments e ON e.id = x.experiment_id
WHERE e.name = ${sqlText(name)}${until('x.exposed_at', at)} GROUP BY 1, 2 ORDER BY 1`),
      curl: `curl "$LOCKSTEP/v1/experiments/${part(name)}/export" ${authorization} --output units.parquet`,
    }),
  trainings: (): Ways => (at) => ({
    command: 'lockstep training list',
    ...get('/v1/trainings'),
    sql: `SELECT id, subject, state, submitted_at, finished_at FROM lockstep.jobs WHERE kind = 'training'${until('submitted_at', at)} ORDER BY id DESC LIMIT 100`,
  }),
  training:
    (name: string): Ways =>
    (at) => ({
      command: `lockstep training show ${shellText(name)}`,
      ...get(`/v1/trainings/${part(name)}`),
      sql: `SELECT id, state, result, error, submitted_at, finished_at FROM lockstep.jobs WHERE kind = 'training' AND subject = ${sqlText(name)}${until('submitted_at', at)} ORDER BY id DESC LIMIT 100`,
    }),
  pipelines: (): Ways => (at) => ({
    command: 'lockstep pipeline list',
    ...get('/v1/pipelines'),
    sql: `SELECT pipeline, minute, answered, dead, waiting FROM lockstep.pipeline_minutes${until('minute', at, 'WHERE')} ORDER BY minute DESC LIMIT 100`,
  }),
  pipeline:
    (name: string): Ways =>
    (at) => ({
      command: `lockstep pipeline show ${shellText(name)}`,
      ...get(`/v1/pipelines/${part(name)}`),
      sql: `SELECT minute, answered, dead, waiting, oldest_seconds FROM lockstep.pipeline_minutes WHERE pipeline = ${sqlText(name)}${until('minute', at)} ORDER BY minute DESC`,
    }),
  /** @param of a source or a pipeline */
  deadLetters: (of: 'source' | 'pipeline', name: string): Ways => {
    const source = of === 'pipeline' ? `pipeline ${name}` : name
    return () => ({
      command: `lockstep dead-letter list ${shellText(source)}`,
      ...get(`/v1/dead-letters?source=${part(source)}`),
      sql: `SELECT at, message, reason, error, size_bytes FROM lockstep.stream_dead_letters
WHERE source = ${sqlText(source)} ORDER BY id DESC LIMIT 100`,
    })
  },
  predictions: (): Ways => (at) => ({
    command: 'lockstep predictions list --limit 20',
    ...get('/v1/predictions?limit=20'),
    sql: `SELECT at, model, version, keys, outputs FROM lockstep.prediction_log${until('at', at, 'WHERE')} ORDER BY at DESC LIMIT 20`,
  }),
  /** Services and views, which can be explained. */
  explainable: (): Ways => () => ({
    command: 'lockstep list services',
    ...get('/v1/services'),
    sql: `SELECT kind, name, version FROM lockstep.definitions WHERE kind IN ('service', 'view') AND retired_at IS NULL ORDER BY 1, 2, 3`,
  }),
  /** @param entity as JSON @param asOf RFC 3339 @param sql reads the rows of the entity */
  explain: (kind: 'service' | 'view', name: string, entity: string, asOf: string, sql: string): Ways => {
    const body = `{"${kind}": ${JSON.stringify(name)}, "entity": ${entity}, "asOf": "${asOf}"}`
    return () => ({
      isFixed: true,
      command: `lockstep explain ${shellText(name)} --entity ${shellText(entity)} --as-of ${asOf}`,
      curl: `curl "$LOCKSTEP/v1/explain" ${authorization} -d ${shellText(body)}`,
      typescript: `${settings}
const body = JSON.stringify(${body})
const answer = await fetch(\`\${LOCKSTEP}/v1/explain\`, { method: 'POST', body, headers: { ${header} } })
console.log(await answer.json())`,
      sql,
    })
  },
  prediction:
    (id: string): Ways =>
    () => ({
      isFixed: true,
      command: `lockstep explain ${shellText(id)}`,
      ...get(`/v1/predictions?prediction=${part(id)}&since=30d`),
      sql: `SELECT * FROM lockstep.prediction_log WHERE prediction_id = ${sqlText(id)}`,
    }),
  parity: (): Ways => (at) => ({
    command: 'lockstep parity',
    ...get('/v1/parity'),
    sql: `SELECT hour, service, feature, verdict, count FROM lockstep.parity_hours${until('hour', at, 'WHERE')} ORDER BY hour DESC, feature`,
  }),
  alerts: (): Ways => (at) => ({
    command: 'lockstep alert list --state all',
    ...get('/v1/alerts'),
    sql: `SELECT id, monitor, subject, severity, ${at === undefined ? 'state' : `CASE WHEN to_timestamp(resolved / 1e6) <= ${sqlMoment(at)} THEN 'resolved' ELSE 'firing' END AS state`}, to_timestamp(started / 1e6) AS started
FROM lockstep.alerts${until('to_timestamp(started / 1e6)', at, 'WHERE')} ORDER BY id DESC LIMIT 100`,
  }),
  monitors: (): Ways => () => ({
    command: 'lockstep monitor list',
    ...get('/v1/monitors'),
    sql: 'SELECT monitor, check_kind, subject, phase, result FROM lockstep.monitor_states ORDER BY 1, 2, 3',
  }),
  jobs:
    ({ kind, state }: { readonly kind?: string | undefined; readonly state?: string | undefined } = {}): Ways =>
    (at) => {
      const stateThen = at === undefined ? 'state' : `CASE WHEN finished_at <= ${sqlMoment(at)} THEN state ELSE 'running' END`
      const given = [
        ...(kind === undefined ? [] : [`kind = ${sqlText(kind)}`]),
        ...(state === undefined ? [] : [`${stateThen} = ${sqlText(state)}`]),
        ...(at === undefined ? [] : [`submitted_at <= ${sqlMoment(at)}`]),
      ]
      const options = Object.entries({ kind, state }).flatMap(([name, value]) =>
        value === undefined ? [] : [` --${name} ${shellText(value)}`],
      )
      return {
        command: `lockstep job list${options.join('')}`,
        ...get(`/v1/jobs${queryOf({ kind, state })}`),
        sql: `SELECT id, kind, subject, ${stateThen} AS state${at === undefined ? ', chunks_done, chunks' : ''}
FROM lockstep.jobs${given.length === 0 ? '' : ` WHERE ${given.join(' AND ')}`} ORDER BY id DESC LIMIT 100`,
      }
    },
  job:
    (id: string): Ways =>
    (at) => ({
      command: `lockstep job show ${shellText(id)}`,
      ...get(`/v1/jobs/${part(id)}`),
      sql: `SELECT step, number, state, attempts, worker, error FROM lockstep.job_chunks WHERE job = ${sqlText(id)}${until('claimable_at', at)} ORDER BY step, number LIMIT 100`,
    }),
  keys: (): Ways => (at) => ({
    command: 'lockstep keys list',
    ...query(
      `SELECT id, name, scopes, created_at, ${knownAt('last_used_at', at)}, ${knownAt('revoked_at', at)}
FROM lockstep.api_keys${until('created_at', at, 'WHERE')} ORDER BY created_at`,
    ),
  }),
  audit: (): Ways => (at) => ({
    command: 'lockstep audit',
    ...get('/v1/audit'),
    sql: `SELECT at, coalesce(actor_name, actor) AS who, action, subject, reason FROM lockstep.audit_log${until('at', at, 'WHERE')} ORDER BY id DESC LIMIT 100`,
  }),
}
