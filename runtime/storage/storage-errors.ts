import { LockstepError, messageOf, withoutStop } from '../../kernel/errors.ts'

/** The answer of a store, as far as it says why a call failed. */
export interface StorageFailure {
  /** The store's own name of the error, such as `ExpiredToken`. */
  readonly name: string
  /** Of the answer; null: there was none. */
  readonly httpStatus: number | null
  readonly message: string
  readonly cause: unknown
}

const bucketMissing = new Set(['NoSuchBucket', 'notFoundBucket'])
const otherRegion = new Set(['AuthorizationHeaderMalformed', 'IllegalLocationConstraintException', 'PermanentRedirect'])
const denied = new Set([
  'AccessDenied',
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidToken',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
])

/**
 * An error of a store in the words of Lockstep.
 *
 * @param action what failed, as `read`
 * @param howToSignIn where the store's credentials come from, for a message
 */
export function storageError(
  action: string,
  url: string,
  { name, httpStatus, message, cause }: StorageFailure,
  howToSignIn: string,
): LockstepError {
  const said = withoutStop(message || name)
  const details = { url, error: name, ...(httpStatus === null ? {} : { status: httpStatus }) }
  if (bucketMissing.has(name)) {
    const [bucket = url] = /^[a-z0-9]+:\/\/[^/]+/.exec(url) ?? []
    return new LockstepError('FILE_UNREADABLE', `The bucket "${bucket}" does not exist. Create it, or correct the name.`, {
      cause,
      details,
    })
  }
  if (otherRegion.has(name)) {
    return new LockstepError(
      'STORAGE_DENIED',
      `"${url}" could not be ${action}: its bucket is in another region (${said}). Set AWS_REGION to the region of the bucket.`,
      { cause, details },
    )
  }
  if (denied.has(name) || httpStatus === 401 || httpStatus === 403) {
    return new LockstepError('STORAGE_DENIED', `"${url}" could not be ${action}: ${said}. ${howToSignIn}`, { cause, details })
  }
  return new LockstepError('STORAGE_UNAVAILABLE', `"${url}" could not be ${action}: ${said}. Check that the store can be reached.`, {
    cause,
    details: { ...details, retriable: true },
  })
}

/** A failure that carries no answer, such as a refused connection. */
export function withoutAnswer(cause: unknown): StorageFailure {
  return { name: cause instanceof Error ? cause.name : 'Error', httpStatus: null, message: reasonOf(cause), cause }
}

/** `fetch` says only that it failed; its cause says why. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0])
  if (error instanceof Error && error.cause !== undefined) return reasonOf(error.cause)
  return messageOf(error)
}
