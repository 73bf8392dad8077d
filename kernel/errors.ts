/** Every code that a Lockstep error can carry. Closed: a new failure is a new line here. */
export type ErrorCode =
  // definitions
  | 'DEFINITIONS_INVALID' // the file does not parse, fails to load or holds a wrong definition
  | 'DEFINITIONS_EMPTY'
  | 'DUPLICATE_NAME'
  | 'INVALID_NAME'
  | 'INVALID_DURATION'
  | 'INVALID_SCHEDULE'
  | 'INVALID_TYPE' // a value type where another is needed
  | 'UNKNOWN_COLUMN'
  | 'UNKNOWN_FEATURE'
  | 'UNKNOWN_DEFINITION'
  | 'FEATURE_NAME_CLASH'
  | 'VERSION_CHANGED' // a changed definition under a version that exists
  | 'IN_USE' // still needed by something else
  | 'VERSION_MISMATCH' // another version of Lockstep compiled the definitions
  // transforms
  | 'TRANSFORM_NOT_STATIC'
  | 'TRANSFORM_IMPURE'
  | 'TRANSFORM_FAILED'
  | 'TRANSFORM_TIMEOUT' // a transform that did not end in time on some input, and was broken off
  | 'CODE_HASH_MISMATCH'
  | 'SIGNATURE_INVALID' // stored without a signature by one of the keys that are set
  // sources and rows
  | 'SOURCE_MISSING' // the table or a column of it is not there
  | 'SOURCE_TYPE_MISMATCH'
  | 'INVALID_ROW'
  | 'INVALID_TIME'
  | 'ORDER_VIOLATED' // a stream that should be sorted is not
  | 'PENDING_OVERFLOW'
  | 'TOO_MANY_CATEGORIES' // more distinct values than a feature's cap
  // files, spines and training sets
  | 'FILE_UNREADABLE'
  | 'FILE_EXISTS'
  | 'FILE_CHANGED' // a file that is in use has other content than before
  | 'COLUMNS_MISMATCH'
  | 'ALREADY_INGESTED' // the same file was loaded into the same table before
  | 'SPINE_INVALID'
  | 'LABEL_LEAK'
  | 'WRITE_FAILED'
  | 'BATCH_CONFLICT' // a batch of this id was asked for in another way
  | 'TOO_MANY_REFUSED' // more rows of a batch have no prediction than it allows
  | 'TOO_FEW_ROWS' // the spine of a batch has fewer rows than it needs
  | 'NOT_REPRODUCIBLE' // what a training set was made of cannot be read again
  | 'BASELINE_MISSING' // a model version has no earlier rows to compare with
  | 'ROLLUP_DAMAGED' // stored statistics of a model cannot be read
  // online
  | 'STATE_CORRUPT'
  | 'STATE_VERSION'
  | 'ENTITY_SET_ASIDE' // the rows of one entity cannot be folded, so a view has no state of it
  | 'STATE_TOO_LARGE' // the state of one entity is over its view's cap
  | 'STORE_MISMATCH' // the online store holds the view of another database or definition
  | 'HISTORY_NEEDED' // the moment asked for is before the stored state's high-water mark
  // requests
  | 'INVALID_REQUEST'
  | 'INVALID_ENTITY'
  | 'INVALID_EVENT' // an event that its source cannot take
  | 'NOT_PUSHABLE' // a source that accepts no events, or whose table is not made yet
  | 'MISSING_REQUEST_VALUE'
  | 'REQUIRED_FEATURE_MISSING'
  | 'BODY_TOO_LARGE'
  | 'MESSAGE_TOO_LARGE' // an answer of a pipeline that its stream does not take
  | 'UNSUPPORTED_MEDIA_TYPE' // a body of another type or encoding than is read
  | 'NOT_ACCEPTABLE' // an answer of a media type that is not offered
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_READY'
  | 'BUSY' // too much of it at once: ask again later
  | 'OVERLOADED' // more events or requests than can be stored or answered in time: send again later
  | 'UNAUTHENTICATED' // no API key, or one that is none
  | 'FORBIDDEN' // a key without the scope, or a page of an origin that is not let in
  | 'MISDIRECTED' // a request to the dashboard under a host name that is not the server's
  | 'STALE' // an act that was decided on what has changed since
  | 'RATE_LIMITED' // over the limits of its key: ask again later
  | 'DEADLINE_EXCEEDED' // not done within the time that the request allows
  | 'UNSUPPORTED' // a part of a protocol that is not built
  | 'IDEMPOTENCY_KEY_REUSED' // with another request than before
  | 'IDEMPOTENCY_KEY_BUSY' // the same request is under way
  | 'REQUEST_ABORTED' // the client disconnected before it had sent its request
  | 'SERVER_UNAVAILABLE' // the server that a command is sent to does not answer
  // uploads
  | 'UPLOAD_CONFLICT' // a part for another offset, or while another request writes
  | 'UPLOAD_DAMAGED' // a complete file without the announced hash
  | 'UPLOADS_FULL' // no room for another upload
  // models
  | 'MODEL_INVALID'
  | 'MODEL_MISMATCH'
  | 'DECISION_MISMATCH' // a decision about a rollout that its stored evidence does not give again
  | 'DATASET_MISMATCH' // a model that was trained on other features than it is served with
  | 'MODEL_FAILED'
  | 'TRAINER_FAILED' // a program that trains a model did not end well, or wrote no model
  | 'TRAINER_MISSING' // no worker had the program that trains a model
  | 'BREAKS_MODEL' // a definition that a served version would no longer fit
  | 'NOT_PROMOTABLE' // a version that cannot be served, or none to roll back to
  | 'MODEL_TIMEOUT' // a run that did not end in time, and was ended
  | 'MODEL_UNAVAILABLE' // a model whose process ended, or that keeps failing to answer: ask again later
  // alerts
  | 'DELIVERY_FAILED' // the receiver of an alert did not take it
  // processes
  | 'CONFIG_INVALID'
  | 'USAGE'
  | 'POSTGRES_UNAVAILABLE'
  | 'REDIS_UNAVAILABLE'
  | 'STORAGE_DENIED' // credentials of an object store are missing, wrong, expired or not sufficient
  | 'STORAGE_UNAVAILABLE' // an object store does not answer
  | 'STREAM_UNAVAILABLE' // what feeds a source cannot be read
  | 'EMBEDDED_IN_USE'
  | 'EMBEDDED_ALONE' // a server of several processes with the embedded database or store
  | 'EMBEDDED_DAMAGED' // the files of the embedded database or store are not what they should be
  | 'PORT_IN_USE'
  | 'MIGRATIONS_PENDING'
  | 'SCHEMA_NEWER' // migrated by a newer Lockstep
  | 'STOPPED' // the process was asked to end before its work was done
  | 'INTERNAL'

/**
 * The one error class. `message` says what failed, names the offender in double quotes and says what to do; `details`
 * holds the same facts for programs.
 *
 * @example throw new LockstepError('INVALID_DURATION', 'The window "1x" is not a duration; write a number and a unit,
 *   as in "90s" or "6h".')
 */
export class LockstepError extends Error {
  override readonly name = 'LockstepError'
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof Error && 'code' in error) {
    if (error.code === 'EISDIR') return 'it is a folder, not a file'
    // not of a program or a socket
    if (error.code === 'ENOENT' && 'syscall' in error && isFileCall(error.syscall)) return 'there is no such file or folder'
  }
  return error instanceof Error ? error.message : String(error)
}

/** The message of anything that was thrown, or a text, without its full stop: for use within a sentence. */
export function withoutStop(error: unknown): string {
  return messageOf(error).replace(/\.$/, '')
}

function isFileCall(syscall: unknown): boolean {
  return syscall === 'open' || syscall === 'stat' || syscall === 'lstat' || syscall === 'scandir'
}
