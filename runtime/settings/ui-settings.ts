import { z } from 'zod'

/** How the dashboard is reached (docs/dashboard.md). */
export interface UiSettings {
  /** `auto`: where only this machine reaches the server. `on`: elsewhere too, once a key with a `ui:` scope exists. */
  readonly mode: 'auto' | 'on' | 'off'
  /** The dashboard's own address; null: the server's. */
  readonly listen: { readonly host: string; readonly port: number } | null
  /** Whether nothing can be changed from it. */
  readonly readOnly: boolean
  /** Whether keys may be sent to it over plain HTTP from other machines. */
  readonly insecure: boolean
  /** Where browsers reach the server, such as `https://features.example`; null: only under its own address. */
  readonly publicUrl: URL | null
}

/** The dashboard of a server without settings. */
export const defaultUi: UiSettings = { mode: 'auto', listen: null, readOnly: false, insecure: false, publicUrl: null }

const listenPattern = /^(\[[0-9a-f:]+\]|[^:\s]+):(\d{1,5})$/i
const flag = z.enum(['true', 'false'], 'true or false').default('false')

export const uiVariables = {
  LOCKSTEP_UI: z.enum(['auto', 'on', 'off'], 'auto, on or off').default('auto'),
  LOCKSTEP_UI_LISTEN: z
    .string()
    .refine((text) => Number(listenPattern.exec(text)?.[2] ?? Number.NaN) <= 65_535, 'an address and a port, such as 127.0.0.1:9090')
    .optional(),
  LOCKSTEP_UI_READONLY: flag,
  LOCKSTEP_UI_INSECURE: flag,
  LOCKSTEP_PUBLIC_URL: z
    .string()
    .refine((text) => isPublicUrl(text), 'a URL without a path, such as https://features.example')
    .optional(),
}

export function uiSettings(data: z.output<z.ZodObject<typeof uiVariables>>): UiSettings {
  const [, host = '', port] = listenPattern.exec(data.LOCKSTEP_UI_LISTEN ?? '') ?? []
  return {
    mode: data.LOCKSTEP_UI,
    listen: port === undefined ? null : { host: host.replaceAll(/^\[|\]$/g, ''), port: Number(port) },
    readOnly: data.LOCKSTEP_UI_READONLY === 'true',
    insecure: data.LOCKSTEP_UI_INSECURE === 'true',
    publicUrl: data.LOCKSTEP_PUBLIC_URL === undefined ? null : new URL(data.LOCKSTEP_PUBLIC_URL),
  }
}

function isPublicUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && ['http:', 'https:'].includes(url.protocol) && url.pathname === '/' && url.search + url.hash + url.username === ''
}
