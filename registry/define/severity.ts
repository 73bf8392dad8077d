/** `page`: somebody must act now; `ticket`: somebody must act in working hours. */
export const severities = ['page', 'ticket'] as const
export type Severity = (typeof severities)[number]
