const address = String.raw`[^\s@<>()[\]\\,;:"]+@[^\s@<>()[\]\\,;:"]+`
/** `alerts@example.com` */
export const bareAddress = new RegExp(`^${address}$`)
/** `alerts@example.com`, or `Lockstep <alerts@example.com>` */
export const namedAddress = new RegExp(String.raw`^(?:[^\p{Cc}<>"@,;:\\]+ <${address}>|${address})$`, 'u')
/** More are a mailing list. */
export const maxRecipients = 50
