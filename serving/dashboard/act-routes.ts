import type { UiSettings } from '../../runtime/ui-settings.ts'
import type { Route } from '../protocols/http/route.ts'

/** The routes that change something. */
export function actRoutes(_settings: UiSettings): readonly Route[] {
  return []
}
