import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspectModel } from '../../inference/inspect-model.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { pushModel } from '../../registry/models/models.ts'
import { promoteModel } from '../../registry/models/promote.ts'
import { loadConfig } from '../../runtime/config.ts'
import { migrateDatabase } from '../../runtime/postgres/migrated.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { createRandom } from '../../statistics/random.ts'
import { brokenDefinitions, definitions, fraudModel, fraudShare } from '../../test/monitoring/faults/shop.ts'
import { forgetKeys } from '../forget-keys.ts'
import { inOwnPlace } from '../in-process.ts'
import { rollOutTo } from './roll-out-to.ts'
import { startServer, startWorker } from './start-server.ts'

const cards = 5000
const rowsPerRequest = 4
const by = { actor: 'bench' }
const compared = { samples: 200 }
const stays = [{ share: 0.5, atLeast: '1h' }]
const gates = {
  calibration: { kind: 'calibration', margin: 0.05, ...compared },
  quality: { kind: 'quality', figure: 'auc', margin: 0.02, ...compared },
  features: { kind: 'features', margin: 0.05, samples: 100 },
  errors: { kind: 'errors', ...compared },
}
/** Outcomes come within two seconds; half of the cards lack the feature in the broken version. */
const quick = (text: string) => text.replace("within: '30m'", "within: '2s'")
const broken = quick(brokenDefinitions).replace('row.amount === null ?', 'row.amount === null || row.amount > 50 ?')

/**
 * Rolls out versions that answer, and are wrong: by a calibration that is off, by worse outcomes, by a broken feature.
 * Then a better one. Two server processes answer, a worker process controls, and outcomes come two seconds later.
 */
export async function shopRollBacks(postgresUrl: string) {
  const counts = { requests: 0, failed: 0 }
  const seconds: Record<string, number> = {}
  await inOwnPlace(postgresUrl, async ({ env: own, folder }) => {
    const env = { ...own, LOCKSTEP_LOG_PREDICTIONS: '1' }
    const config = loadConfig(env)
    const db = openPostgres(config.postgresUrl as string)
    await migrateDatabase(db.kysely)
    const store = await openOnlineStore(config)
    const apply = async (name: string, text: string, view: string) => {
      const file = join(folder, `${name}.ts`)
      await writeFile(file, text.replace("'lockstep'", JSON.stringify(join(import.meta.dirname, '../../index.ts'))))
      await applyChanges(db, await loadDefinitions(file))
      await materializeView(db, store, (await loadCatalog(db)).view(view))
    }
    const push = async (slope: number): Promise<number> => {
      const bytes = fraudModel(`slope ${slope}`, slope)
      return (await pushModel(db, { model: 'fraud', bytes, contract: await inspectModel(bytes) })).version.version
    }
    // the tables come with the definitions
    const file = join(folder, 'first.ts')
    await writeFile(file, quick(definitions).replace("'lockstep'", JSON.stringify(join(import.meta.dirname, '../../index.ts'))))
    await applyChanges(db, await loadDefinitions(file))
    await db.query(`INSERT INTO lockstep_source.payments (card, at, amount, country, trusted)
      SELECT 'c' || n, now() - interval '1 minute', 30 + n * 7 % 41, 'CH', true FROM generate_series(0, ${cards - 1}) n`)
    await apply('quick', quick(definitions), 'spending@1')
    await promoteModel(db, 'fraud', await push(0.1), by)

    const servers = [await startServer(env), await startServer(env)]
    const worker = startWorker(env)
    const random = createRandom(1)
    const amountOf = (card: number) => 30 + ((card * 7) % 41)
    let over = false
    const load = async (url: string) => {
      while (!over) {
        const asked = Array.from({ length: rowsPerRequest }, () => random.below(cards))
        const body = JSON.stringify({ model: 'fraud', entities: asked.map((card) => ({ card: `c${card}` })) })
        const answer = await fetch(`${url}/v1/predict`, { method: 'POST', headers: { 'content-type': 'application/json' }, body }).then(
          async (response) => ({
            status: response.status,
            body: (await response.json()) as { readonly predictionIds?: readonly string[] },
          }),
          () => null,
        )
        counts.requests++
        const ids = answer?.body.predictionIds
        if (answer?.status !== 200 || ids === undefined) counts.failed++
        else
          await db.query(
            `INSERT INTO lockstep_source.reports (card, at, prediction_id, is_fraud)
             SELECT card, clock_timestamp(), id, is_fraud FROM unnest($1::text[], $2::text[], $3::bool[]) AS r (card, id, is_fraud)`,
            [asked.map((card) => `c${card}`), ids, asked.map((card) => random.next() < fraudShare(amountOf(card)))],
          )
        await sleep(10)
      }
    }
    const loads = servers.flatMap(({ url }) => [load(url), load(url)])
    const rollOut = (version: number, plan: object, end: 'rolled back' | 'promoted') =>
      rollOutTo(db, { model: 'fraud', version, unit: 'card' }, plan, end)
    try {
      const better = await push(0.2)
      seconds['calibration'] = await rollOut(await push(0.02), { steps: stays, gates: [gates.errors, gates.calibration] }, 'rolled back')
      seconds['outcomes'] = await rollOut(await push(-0.2), { steps: stays, gates: [gates.errors, gates.quality] }, 'rolled back')
      const rises = [{ share: 0.5, atLeast: '5s', samples: 200 }]
      const all = [gates.errors, gates.calibration, gates.quality, gates.features]
      seconds['better'] = await rollOut(better, { steps: rises, gates: all }, 'promoted')
      await apply('broken', broken, 'spending@2')
      seconds['feature'] = await rollOut(await push(0.2), { steps: stays, gates: [gates.errors, gates.features] }, 'rolled back')
    } finally {
      over = true
      await Promise.all(loads)
      for (const child of [worker, ...servers.map((server) => server.child)]) {
        const ended = child.exitCode === null ? once(child, 'exit') : null
        child.kill('SIGTERM')
        await ended
      }
      await store.close()
      await db.close()
      await forgetKeys(config.redisUrl as string, config.redisPrefix)
    }
  })
  const { better = Number.NaN, ...rolledBack } = seconds
  return { rolledBack, better, ...counts }
}
