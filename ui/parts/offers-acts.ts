import { useSearch } from '@tanstack/react-router'
import { useMay } from '../api/session.ts'

/** What an act needs. */
export type ActScope = 'ui:operate' | 'ui:admin'

/** Whether this page offers acts of a scope: the session may do them, and the page is not of a past moment. */
export function useOffersActs(scope: ActScope): boolean {
  const may = useMay(scope)
  const { asOf } = useSearch({ strict: false })
  return may && asOf === undefined
}
