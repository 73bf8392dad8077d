/**
 * What an API key allows: read features, run models, push events, read metrics, and change what is served. The scopes
 * `ui:…` and `explain:read` log in to the dashboard and are refused everywhere else.
 */
export const scopes = ['read', 'predict', 'push', 'metrics', 'admin', 'ui:read', 'ui:operate', 'ui:admin', 'explain:read'] as const
export type Scope = (typeof scopes)[number]

/** The scopes of a session of the dashboard. */
export const dashboardScopes = ['ui:read', 'ui:operate', 'ui:admin', 'explain:read'] as const satisfies readonly Scope[]
export type DashboardScope = (typeof dashboardScopes)[number]

/** What the holder of these scopes may do on the dashboard: nothing, where the key is not for it. */
export function dashboardScopesOf(held: readonly Scope[]): DashboardScope[] {
  if (held.includes('admin')) return [...dashboardScopes]
  const implied = new Set<Scope>(held)
  if (implied.has('ui:admin')) implied.add('ui:operate')
  if (implied.has('ui:operate')) implied.add('ui:read')
  if (!implied.has('ui:read')) return []
  return dashboardScopes.filter((scope) => implied.has(scope))
}
