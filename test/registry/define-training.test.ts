import { describe, expect, it } from 'vitest'
import { collectDefinitions } from '../../registry/load/collect.ts'
import { declareDefinitions } from '../../registry/load/declare-definitions.ts'
import { entity } from '../../registry/define/entity.ts'
import { featureService } from '../../registry/define/feature-service.ts'
import { featureView } from '../../registry/define/feature-view.ts'
import { count } from '../../registry/define/aggregate.ts'
import { model } from '../../registry/define/model.ts'
import { rolloutPlan } from '../../registry/define/rollout-plan.ts'
import { source } from '../../registry/define/source.ts'
import { t } from '../../registry/define/t.ts'
import type { TrainingOptions } from '../../registry/define/training.ts'
import { training } from '../../registry/define/training.ts'
import { portableDefinitions, readPortableDefinitions } from '../../registry/load/portable-definitions.ts'
import { trainingSpec } from '../../registry/trainings/training-spec.ts'
import { requirementText, deployText } from '../../registry/trainings/training-text.ts'

const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { amount: t.float64 } })
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { paid1h: count('1h') } })
const service = featureService('fraud_features', { version: 1, features: [spending] })
const fraud = model('fraud', { service, output: { probability: t.float32 } })

const least: TrainingOptions = {
  model: fraud,
  spine: { sql: "select card, paid_at, fraud from labels where paid_at >= '{from}' and paid_at < '{to}'" },
  label: 'fraud',
  window: '90d',
  test: '7d',
  trainer: 'train_fraud.py',
}
const weekly = (change: object = {}) => training('fraud_weekly', { ...least, ...change })
const day = 86_400_000_000

describe('a training', () => {
  it('has defaults: it runs when asked to, and registers what it trains', () => {
    expect(weekly().spec).toEqual({
      name: 'fraud_weekly',
      model: 'fraud',
      spine: least.spine,
      label: 'fraud',
      output: null,
      time: null,
      asOf: 'at',
      windowMicros: 90 * day,
      matureMicros: 0,
      testMicros: 7 * day,
      format: 'parquet',
      trainer: 'train_fraud.py',
      timeoutMicros: day / 4,
      parameters: {},
      require: [],
      deploy: 'nothing',
      schedule: null,
    })
  })

  it('keeps what it is given', () => {
    const require = [
      { metric: 'auc', atLeast: 0.8 },
      { metric: 'logLoss', atMost: 0.3 },
      { metric: 'auc', against: 'champion', worseByAtMost: 0 },
    ]
    const given = { parameters: { depth: 6, layers: [8, { size: 4 }], seed: null }, require, deploy: { rollout: 'default' } }
    const { spec } = weekly({
      ...given,
      mature: '21d',
      schedule: ' 0  4 * * 1',
      timeout: '30m',
      format: 'csv',
      asOf: 'before',
      time: 'paid_at',
    })
    expect(spec).toMatchObject({ ...given, matureMicros: 21 * day, schedule: '0 4 * * 1', timeoutMicros: 1_800_000_000, format: 'csv' })
    expect(spec.require.map(requirementText)).toEqual([
      'auc of at least 0.8',
      'logLoss of at most 0.3',
      'auc at most 0 worse than the champion',
    ])
    expect([spec.deploy, 'promote' as const, 'nothing' as const].map(deployText)).toEqual([
      'starts a rollout by the plan default',
      'promotes the version',
      'registers the version',
    ])
  })

  it('keeps a rollout plan of its own as it is stated', () => {
    const plan = rolloutPlan({ steps: [{ share: 0.05, atLeast: '10m' }, { share: 1 }], gates: [{ kind: 'errors' }] })
    const { spec } = weekly({ deploy: { rollout: plan } })
    expect(spec.deploy).toEqual({ rollout: { steps: [{ share: 0.05, atLeast: '10m' }, { share: 1 }], gates: [{ kind: 'errors' }] } })
    expect(trainingSpec.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec)
    expect(deployText(spec.deploy)).toBe("starts a rollout by the training's own plan")
  })

  it('brings its model, and is sent to servers and read there', () => {
    const { models, trainings } = collectDefinitions([weekly()])
    expect([models[0]?.name, trainings[0]?.name]).toEqual(['fraud', 'fraud_weekly'])
    const none = { entities: [], sources: [], views: [], onDemand: [], services: [], models: [], outcomes: [], channels: [], monitors: [] }
    const spec = weekly({ parameters: { depth: 6 }, deploy: 'promote' }).spec
    const all = { ...none, experiments: [], batches: [], pipelines: [], trainings: [{ spec, operational: {} }] }
    const set = declareDefinitions('f.ts', all, new Map())
    const json: unknown = JSON.parse(JSON.stringify(portableDefinitions(set, '1.0.0')))
    expect(readPortableDefinitions(json, '1.0.0').trainings).toEqual(set.trainings)
    const wrong = { ...spec, trainer: '../train' }
    const sent = JSON.parse(
      JSON.stringify(portableDefinitions({ ...set, trainings: [{ spec: wrong, operational: {}, fingerprint: '' }] }, '1.0.0')),
    )
    expect(() => readPortableDefinitions(sent, '1.0.0')).toThrow('trainings.0.spec.trainer')
  })

  it.each([
    [{ trainer: '../train.py' }, 'has the trainer "../train.py"; write the name of an executable file'],
    [{ trainer: '/bin/sh' }, 'has the trainer "/bin/sh"'],
    [{ trainer: 'train.py --fast' }, 'without a path and arguments'],
    [{ trainer: '.hidden' }, 'has the trainer ".hidden"'],
    [{ spine: { sql: 'select 1' } }, `has no "{from}" in its spine`],
    [{ spine: { sql: `select '{from}'` } }, `has no "{to}" in its spine, so it would take rows of any time`],
    [{ spine: { sql: `select '{from}', '{to}', '{dat}'` } }, 'has "{dat}" in its spine. Did you mean "date"'],
    [{ spine: { file: 's3://b/x' } }, `write { sql: 'select …' }`],
    [{ test: '90d' }, 'has the test "90d", which leaves nothing of the window "90d" to train on'],
    [{ window: '90' }, 'The window "90" is not a duration'],
    [{ label: '' }, 'has the label ""; write a string'],
    [{ parameters: { depth: Number.NaN } }, 'has the parameter "depth", which is NaN; write a value that JSON can hold'],
    [{ parameters: { at: new Date(0) } }, 'has the parameter "at"'],
    [{ require: [{ metric: 'auc' }] }, `write { metric: 'auc', atLeast: 0.8 }`],
    [{ require: [{ metric: 'auc', atLeast: 0.8, atMost: 0.9 }] }, 'requires'],
    [{ require: [{ metric: 'auc', against: 'champion', worseByAtMost: -1 }] }, 'requires'],
    [{ deploy: 'deploy' }, `has the deploy "deploy"; write 'nothing', 'promote'`],
    [{ deploy: { rollout: 'fast' } }, 'with one of the plans default, blue-green or with your own'],
    [{ deploy: { rollout: { steps: [{ share: Number.NaN }] } } }, 'has the deploy'],
    [{ schedule: 'daily' }, 'it has 1 fields'],
    [{ every: '1d' }, 'has the field "every", which does not exist'],
    [{ model: 'fraud' }, 'it must be a model'],
  ])('is refused with %j', (change, message) => {
    expect(() => weekly(change)).toThrow(message)
  })
})
