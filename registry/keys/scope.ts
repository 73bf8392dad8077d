/**
 * What an API key lets its holder do: read features, ask models, push events, read metrics, and change what is served.
 */
export const scopes = ['read', 'predict', 'push', 'metrics', 'admin'] as const
export type Scope = (typeof scopes)[number]
