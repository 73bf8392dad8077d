import type { Migration } from 'kysely/migration'
import * as initial from './0001-initial.ts'
import * as erasures from './0002-erasures.ts'
import * as backfills from './0003-backfills.ts'
import * as onlinePrimaries from './0004-online-primaries.ts'
import * as streamDeadLetters from './0005-stream-dead-letters.ts'
import * as cursors from './0006-cursors.ts'
import * as modelAliases from './0007-model-aliases.ts'
import * as apiKeys from './0008-api-keys.ts'
import * as predictionLog from './0009-prediction-log.ts'
import * as erasuresKept from './0010-erasures-kept.ts'
import * as modelBytesPlain from './0011-model-bytes-plain.ts'
import * as ingests from './0012-ingests.ts'
import * as auditAndSignatures from './0013-audit-and-signatures.ts'
import * as idempotencyKeys from './0014-idempotency-keys.ts'
import * as setAside from './0015-set-aside.ts'
import * as metricsScope from './0016-metrics-scope.ts'
import * as sourceOids from './0017-source-oids.ts'
import * as predictionIds from './0018-prediction-ids.ts'
import * as jobs from './0019-jobs.ts'
import * as rollups from './0020-rollups.ts'
import * as baselines from './0021-baselines.ts'
import * as outcomes from './0022-outcomes.ts'
import * as alerts from './0023-alerts.ts'
import * as predictionRoles from './0024-prediction-roles.ts'
import * as modelRouting from './0025-model-routing.ts'
import * as shadows from './0026-shadows.ts'
import * as experiments from './0027-experiments.ts'
import * as rolloutPlans from './0028-rollout-plans.ts'
import * as serverClocks from './0029-server-clocks.ts'
import * as experimentResults from './0030-experiment-results.ts'
import * as lookupIndices from './0031-lookup-indices.ts'
import * as scheduledBatches from './0032-scheduled-batches.ts'
import * as uiSessions from './0033-ui-sessions.ts'
import * as pipelines from './0034-pipelines.ts'
import * as rebuiltExposures from './0035-rebuilt-exposures.ts'
import * as experimentAllocations from './0036-experiment-allocations.ts'
import * as modelFigures from './0037-model-figures.ts'
import * as parityHours from './0038-parity-hours.ts'
import * as pipelineMinutes from './0039-pipeline-minutes.ts'
import * as sourceFiles from './0040-source-files.ts'
import * as definitionStates from './0041-definition-states.ts'
import * as predictionStages from './0042-prediction-stages.ts'
import * as rowDelays from './0043-row-delays.ts'
import * as loadTransactions from './0044-load-transactions.ts'
import * as unfinishedUndos from './0045-unfinished-undos.ts'
import * as erasureSearches from './0046-erasure-searches.ts'
import * as plannedEndsOfSilences from './0047-planned-ends-of-silences.ts'
import * as storeWitnesses from './0048-store-witnesses.ts'
import * as storedFigures from './0049-stored-figures.ts'
import * as jobRetries from './0050-job-retries.ts'
import * as trainings from './0051-trainings.ts'
import * as noRecordingTime from './0052-no-recording-time.ts'
import * as jobDoing from './0053-job-doing.ts'
import * as openJobsByKind from './0054-open-jobs-by-kind.ts'
import * as listIndices from './0055-list-indices.ts'
import * as summarizeLogTimes from './0056-summarize-log-times.ts'
import * as oldJobs from './0057-old-jobs.ts'
import * as rolloutHolds from './0058-rollout-holds.ts'
import * as experimentRetention from './0060-experiment-retention.ts'
import * as auditWords from './0061-audit-words.ts'

/**
 * Every migration, in order. Append-only: each has already run on some database, so it is never edited, renamed or
 * removed.
 */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-initial': initial,
  '0002-erasures': erasures,
  '0003-backfills': backfills,
  '0004-online-primaries': onlinePrimaries,
  '0005-stream-dead-letters': streamDeadLetters,
  '0006-cursors': cursors,
  '0007-model-aliases': modelAliases,
  '0008-api-keys': apiKeys,
  '0009-prediction-log': predictionLog,
  '0010-erasures-kept': erasuresKept,
  '0011-model-bytes-plain': modelBytesPlain,
  '0012-ingests': ingests,
  '0013-audit-and-signatures': auditAndSignatures,
  '0014-idempotency-keys': idempotencyKeys,
  '0015-set-aside': setAside,
  '0016-metrics-scope': metricsScope,
  '0017-source-oids': sourceOids,
  '0018-prediction-ids': predictionIds,
  '0019-jobs': jobs,
  '0020-rollups': rollups,
  '0021-baselines': baselines,
  '0022-outcomes': outcomes,
  '0023-alerts': alerts,
  '0024-prediction-roles': predictionRoles,
  '0025-model-routing': modelRouting,
  '0026-shadows': shadows,
  '0027-experiments': experiments,
  '0028-rollout-plans': rolloutPlans,
  '0029-server-clocks': serverClocks,
  '0030-experiment-results': experimentResults,
  '0031-lookup-indices': lookupIndices,
  '0032-scheduled-batches': scheduledBatches,
  '0033-ui-sessions': uiSessions,
  '0034-pipelines': pipelines,
  '0035-rebuilt-exposures': rebuiltExposures,
  '0036-experiment-allocations': experimentAllocations,
  '0037-model-figures': modelFigures,
  '0038-parity-hours': parityHours,
  '0039-pipeline-minutes': pipelineMinutes,
  '0040-source-files': sourceFiles,
  '0041-definition-states': definitionStates,
  '0042-prediction-stages': predictionStages,
  '0043-row-delays': rowDelays,
  '0044-load-transactions': loadTransactions,
  '0045-unfinished-undos': unfinishedUndos,
  '0046-erasure-searches': erasureSearches,
  '0047-planned-ends-of-silences': plannedEndsOfSilences,
  '0048-store-witnesses': storeWitnesses,
  '0049-stored-figures': storedFigures,
  '0050-job-retries': jobRetries,
  '0051-trainings': trainings,
  '0052-no-recording-time': noRecordingTime,
  '0053-job-doing': jobDoing,
  '0054-open-jobs-by-kind': openJobsByKind,
  '0055-list-indices': listIndices,
  '0056-summarize-log-times': summarizeLogTimes,
  '0057-old-jobs': oldJobs,
  '0058-rollout-holds': rolloutHolds,
  '0060-experiment-retention': experimentRetention,
  '0061-audit-words': auditWords,
}
