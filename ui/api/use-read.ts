import { type UseQueryResult, keepPreviousData, useQuery } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { readAfterMs, readEveryMs } from './read-every.ts'
import { type Answer, RequestError, read, unchangedReads } from './request.ts'

interface ReadOptions {
  /**
   * How often to read again while the page is visible, as long as something changes. Default: `usual`. Pages as of a
   * moment read once.
   */
  readonly everyMs?: number | false
  readonly enabled?: boolean
  /** False for what is the same at every moment. */
  readonly asOf?: boolean
}

export type Read<Data> = UseQueryResult<Answer<Data>, Error>

/** Reads `/ui/api/PATH`, as of the page's moment, and again from time to time. */
export function useRead<Data>(
  path: string,
  { everyMs = readEveryMs.usual, enabled = true, asOf: takesMoment = true }: ReadOptions = {},
): Read<Data> {
  const { asOf } = useSearch({ strict: false })
  const moment = takesMoment && typeof asOf === 'string' ? asOf : undefined
  const full = moment === undefined ? path : `${path}${path.includes('?') ? '&' : '?'}asOf=${encodeURIComponent(moment)}`
  return useQuery<Answer<Data>>({
    queryKey: ['read', full],
    queryFn: ({ signal }) => read<Data>(full, signal),
    enabled,
    refetchInterval: () => moment === undefined && everyMs !== false && readAfterMs(everyMs, unchangedReads(full)),
    placeholderData: keepPreviousData,
    retry: (failures, error) => failures < 1 && !(error instanceof RequestError && error.status >= 400 && error.status < 500),
    retryDelay: 300,
  })
}
