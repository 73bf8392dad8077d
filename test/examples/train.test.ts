import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { ingestFile } from '../../offline/ingest/ingest.ts'
import { bindModel } from '../../registry/models/model-binding.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ModelSpec } from '../../kernel/specs/service-spec.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { during } from '../opened-database.ts'
import { findPython } from './find-python.ts'
import { example, openFlights } from './flights.ts'
import { airportsFile } from './sample-flights.ts'

const execute = promisify(execFile)

const flights = during(() => openFlights(Date.UTC(2001, 0, 8) * 1000))
let service: ServicePlan
let model: ModelSpec

beforeAll(async () => {
  const { db, catalog } = flights()
  service = catalog.service('flight_features')
  model = catalog.model('delay').spec
  await ingestFile(db, catalog.source('airports'), airportsFile)
})

describe('the model of the flights example', () => {
  it.each(['delay.onnx', 'delay-2.onnx', 'delay-broken.onnx'])('as committed in %s fits the feature service', async (file) => {
    const binding = bindModel(service, await inspectModel(await readFile(join(example, file))), model)
    expect(binding.layout).toBe('packed')
    expect(binding.unused).toEqual([])
  })

  it('can be retrained from an export, with an equal fit, if Python is installed', async () => {
    const { db, folder } = flights()
    const out = join(folder, 'training.parquet')
    // the last two days are moved to June, so that there is something to measure on
    const sql = `select date + case when date < '2001-01-06' then interval '0' else interval '5 months' end as date, origin, destination, distance, delay > 15 as late from flights`
    const manifest = await createDataset(db, service, { spine: { sql }, asOf: 'before', out })
    const needed = ['date', 'origin', 'destination', 'distance', 'late', ...service.features.map(({ name }) => name)]
    expect(manifest.columns.map(({ name }) => name)).toEqual(needed)

    const python = await findPython()
    // without Python, that the export has the columns that train.py reads is all there is to see
    if (python === null) return
    const trained = join(folder, 'delay.onnx')
    const { stdout } = await execute(python, [join(example, 'train.py'), out, trained])
    const told: { rows: number; features: string[] } = JSON.parse(stdout)
    expect(told.rows).toBe(manifest.file.rows)
    expect(told.features).toEqual(service.features.map(({ name }) => name))
    expect(bindModel(service, await inspectModel(await readFile(trained)), model).unused).toEqual([])
  })
})
