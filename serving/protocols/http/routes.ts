import { feastRoutes } from '../feast/feast-routes.ts'
import { oipRoutes } from '../oip/oip-routes.ts'
import { datasetRoutes } from './data/datasets-route.ts'
import { eventRoutes } from './data/events-route.ts'
import { sourceFileRoutes } from './data/source-files-route.ts'
import { uploadRoutes } from './data/uploads-route.ts'
import { experimentResultRoutes } from './experiments/experiment-result-routes.ts'
import { experimentRoutes } from './experiments/experiment-routes.ts'
import { experimentUnitRoutes } from './experiments/experiment-unit-routes.ts'
import { explainRoutes } from './features/explain-route.ts'
import { featureRoutes } from './features/features-route.ts'
import { healthRoutes } from './health/health-routes.ts'
import { statusRoutes } from './health/status-route.ts'
import { backfillRoutes } from './jobs/backfills-route.ts'
import { batchRoutes } from './jobs/batches-route.ts'
import { jobRoutes } from './jobs/jobs-route.ts'
import { trainingRoutes } from './jobs/trainings-route.ts'
import { modelChangeRoutes } from './models/model-changes-route.ts'
import { modelVersionRoutes } from './models/model-versions-route.ts'
import { modelRoutes } from './models/models-route.ts'
import { alertRoutes } from './monitoring/alerts-route.ts'
import { costRoutes } from './monitoring/cost-route.ts'
import { driftRoutes } from './monitoring/drift-route.ts'
import { monitorRoutes } from './monitoring/monitors-route.ts'
import { outcomeRoutes } from './monitoring/outcomes-route.ts'
import { parityRoutes } from './monitoring/parity-route.ts'
import { predictionsExportRoutes } from './monitoring/predictions-export-route.ts'
import { predictionRoutes } from './monitoring/predictions-route.ts'
import { qualityRoutes } from './monitoring/quality-route.ts'
import { reportRoutes } from './monitoring/report-route.ts'
import { statisticsRoutes } from './monitoring/statistics-route.ts'
import { docsRoutes } from './openapi/docs-routes.ts'
import { predictRoutes } from './predict/predict-route.ts'
import { auditRoutes } from './registry/audit-route.ts'
import { findRoutes } from './registry/find-routes.ts'
import { registryRoutes } from './registry/registry-route.ts'
import { rolloutRoutes } from './rollouts/rollout-routes.ts'
import { shadowRoutes } from './rollouts/shadow-routes.ts'
import { deadLetterRoutes } from './streaming/dead-letters-route.ts'
import { pipelineRoutes } from './streaming/pipelines-route.ts'
import type { Route } from './route.ts'

const described: readonly Route[] = [
  ...featureRoutes,
  ...explainRoutes,
  ...predictRoutes,
  ...eventRoutes,
  ...outcomeRoutes,
  ...deadLetterRoutes,
  ...findRoutes,
  ...modelRoutes,
  ...statisticsRoutes,
  ...modelChangeRoutes,
  ...rolloutRoutes,
  ...shadowRoutes,
  ...experimentResultRoutes,
  ...experimentUnitRoutes,
  ...experimentRoutes,
  ...modelVersionRoutes,
  ...qualityRoutes,
  ...reportRoutes,
  ...registryRoutes,
  ...uploadRoutes,
  ...sourceFileRoutes,
  ...datasetRoutes,
  ...oipRoutes,
  ...feastRoutes,
  ...batchRoutes,
  ...trainingRoutes,
  ...pipelineRoutes,
  ...backfillRoutes,
  ...jobRoutes,
  ...alertRoutes,
  ...monitorRoutes,
  ...predictionRoutes,
  ...predictionsExportRoutes,
  ...parityRoutes,
  ...costRoutes,
  ...driftRoutes,
  ...auditRoutes,
  ...statusRoutes,
  ...healthRoutes,
]

/** Every operation of the HTTP interface. */
export const routes: readonly Route[] = [...described, ...docsRoutes(described)]
