import { catalogModel, searchModel } from './catalog/catalog-models.ts'
import { impactModel, lineageModel } from './catalog/lineage-model.ts'
import { featureModel } from './definitions/feature-model.ts'
import { sourceModel } from './definitions/source-model.ts'
import { freshnessModel, serviceModel, viewModel } from './definitions/view-models.ts'
import { modelModel } from './models/model-model.ts'
import { overTimeModel } from './models/over-time-model.ts'
import { calibrationModel, qualityModel } from './models/quality-model.ts'
import { nowModel } from './now/now-model.ts'
import { alertsModel } from './operations/alerts-model.ts'
import { jobsModel } from './operations/jobs-model.ts'
import { auditModel, keysModel } from './operations/operation-models.ts'
import { explainModel, explainStartModel } from './explain/explain-models.ts'
import { receiptModel } from './explain/receipt-model.ts'
import { experimentModel } from './experiments/experiment-model.ts'
import { decisionModel, rolloutModel } from './rollouts/rollout-model.ts'
import { parityModel } from './parity/parity-model.ts'
import { trainingModel, trainingsModel } from './trainings/training-models.ts'
import { deadLettersModel, pipelineModel, pipelinesModel, sourceDeadLettersModel } from './pipelines/pipeline-models.ts'
import type { ReadModel } from './read-model.ts'

/** All that the dashboard reads. A number has one place here, so that two pages cannot disagree. */
export const readModels: readonly ReadModel[] = [
  nowModel,
  catalogModel,
  searchModel,
  lineageModel,
  impactModel,
  viewModel,
  freshnessModel,
  sourceModel,
  serviceModel,
  featureModel,
  modelModel,
  overTimeModel,
  qualityModel,
  calibrationModel,
  rolloutModel,
  decisionModel,
  experimentModel,
  explainStartModel,
  explainModel,
  receiptModel,
  parityModel,
  trainingsModel,
  trainingModel,
  pipelinesModel,
  pipelineModel,
  deadLettersModel,
  sourceDeadLettersModel,
  jobsModel,
  alertsModel,
  keysModel,
  auditModel,
]
