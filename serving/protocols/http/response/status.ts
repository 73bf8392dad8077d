import type { LockstepError } from '../../../../kernel/errors.ts'

export type HttpErrorStatus = ReturnType<typeof statusOf>

/**
 * The HTTP status of an error. Only this file chooses it, and a new code has to be added here. Failures of the server
 * are 500.
 */
export function statusOf({ code, details }: LockstepError) {
  switch (code) {
    case 'INVALID_REQUEST':
    case 'INVALID_ENTITY':
    case 'INVALID_EVENT':
    case 'INVALID_TYPE':
    case 'INVALID_TIME':
    case 'INVALID_NAME':
    case 'MISSING_REQUEST_VALUE':
      return 400
    case 'UNAUTHENTICATED':
      return 401
    case 'FORBIDDEN':
      return 403
    case 'UNKNOWN_DEFINITION':
    case 'BASELINE_MISSING':
    case 'NOT_FOUND':
      return 404
    case 'METHOD_NOT_ALLOWED':
      return 405
    case 'NOT_ACCEPTABLE':
      return 406
    case 'NOT_PROMOTABLE':
    case 'DECISION_MISMATCH':
    case 'DATASET_MISMATCH':
    case 'IDEMPOTENCY_KEY_BUSY':
    case 'UPLOAD_CONFLICT':
    case 'VERSION_CHANGED':
    case 'VERSION_MISMATCH':
    case 'BREAKS_MODEL':
    case 'IN_USE':
    case 'ALREADY_INGESTED':
    case 'BATCH_CONFLICT':
    case 'FILE_CHANGED':
      return 409
    case 'STALE':
      return 412
    case 'BODY_TOO_LARGE':
      return 413
    case 'UNSUPPORTED_MEDIA_TYPE':
      return 415
    case 'MISDIRECTED':
      return 421
    case 'NOT_PUSHABLE':
    case 'IDEMPOTENCY_KEY_REUSED':
    case 'UPLOAD_DAMAGED':
    case 'REQUIRED_FEATURE_MISSING':
    case 'TOO_MANY_CATEGORIES':
    case 'ENTITY_SET_ASIDE':
      return 422
    case 'TRANSFORM_FAILED':
      // on-demand code fails on an entity of the request; the transform of a view fails on a stored row
      return details['entity'] === undefined ? 500 : 422
    case 'OVERLOADED':
      // the server, or the intake of events and the places of a key
      return details['overloaded'] === 'server' ? 503 : 429
    case 'RATE_LIMITED':
      return 429
    case 'DEADLINE_EXCEEDED':
      return 504
    case 'REQUEST_ABORTED':
      return 499 // as in nginx: nobody reads the answer, but metrics count it
    case 'UNSUPPORTED':
      return 501
    case 'POSTGRES_UNAVAILABLE':
    case 'REDIS_UNAVAILABLE':
    case 'NOT_READY':
    case 'BUSY':
    case 'MODEL_UNAVAILABLE':
      return 503
    case 'MODEL_TIMEOUT':
    case 'TRANSFORM_TIMEOUT':
      return 504
    case 'UPLOADS_FULL':
      return 507
    case 'INTERNAL':
    case 'WRITE_FAILED':
      return 500
    case 'DEFINITIONS_INVALID':
    case 'DEFINITIONS_EMPTY':
    case 'DUPLICATE_NAME':
    case 'INVALID_DURATION':
    case 'INVALID_SCHEDULE':
    case 'UNKNOWN_COLUMN':
    case 'UNKNOWN_FEATURE':
    case 'FEATURE_NAME_CLASH':
    case 'TRANSFORM_NOT_STATIC':
    case 'TRANSFORM_IMPURE':
    case 'CODE_HASH_MISMATCH':
    case 'SIGNATURE_INVALID':
    case 'SOURCE_MISSING':
    case 'SOURCE_TYPE_MISMATCH':
    case 'INVALID_ROW':
    case 'ORDER_VIOLATED':
    case 'PENDING_OVERFLOW':
    case 'FILE_UNREADABLE':
    case 'FILE_EXISTS':
    case 'COLUMNS_MISMATCH':
    case 'SPINE_INVALID':
    case 'LABEL_LEAK':
    case 'TOO_MANY_REFUSED':
    case 'TOO_FEW_ROWS':
    case 'NOT_REPRODUCIBLE':
    case 'ROLLUP_DAMAGED':
    case 'STATE_CORRUPT':
    case 'STATE_VERSION':
    case 'STATE_TOO_LARGE':
    case 'STORE_MISMATCH':
    case 'HISTORY_NEEDED':
    case 'MESSAGE_TOO_LARGE':
    case 'SERVER_UNAVAILABLE':
    case 'MODEL_INVALID':
    case 'MODEL_MISMATCH':
    case 'MODEL_FAILED':
    case 'TRAINER_FAILED':
    case 'TRAINER_MISSING':
    case 'DELIVERY_FAILED':
    case 'CONFIG_INVALID':
    case 'USAGE':
    case 'STORAGE_DENIED':
    case 'STORAGE_UNAVAILABLE':
    case 'STREAM_UNAVAILABLE':
    case 'EMBEDDED_IN_USE':
    case 'EMBEDDED_ALONE':
    case 'EMBEDDED_DAMAGED':
    case 'PORT_IN_USE':
    case 'MIGRATIONS_PENDING':
    case 'SCHEMA_NEWER':
    case 'STOPPED':
      // of what the request brought, or of what the server has
      return details['refused'] === true ? 422 : 500
    default:
      code satisfies never
      // of a process with another version
      return details['refused'] === true ? 422 : 500
  }
}

/** The statuses that Triton uses: a model that cannot be run is unavailable, and other errors of a caller are 400. */
export function oipStatusOf(error: LockstepError): HttpErrorStatus {
  if (error.code === 'MODEL_INVALID' || error.code === 'MODEL_MISMATCH') return 503
  const status = statusOf(error)
  return status === 422 ? 400 : status
}
