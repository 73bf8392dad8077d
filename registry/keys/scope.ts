/** What an API key allows: read features, run models, push events, read metrics, and change what is served. */
export const scopes = ['read', 'predict', 'push', 'metrics', 'admin'] as const
export type Scope = (typeof scopes)[number]
