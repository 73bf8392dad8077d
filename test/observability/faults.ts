/**
 * Metrics of faults that the test of the queries does not cause: no series of them exists in a healthy process. A query
 * may be empty only if it reads one of these.
 */
export const faults: Readonly<Record<string, string>> = {
  lockstep_skewed_requests_total: 'needs two machines with different clocks',
  lockstep_late_requests_total: 'needs a scheduled run that is overdue by more than a minute',
  lockstep_transform_timeouts_total: 'needs a transform that runs for ever, which costs seconds of processor time',
  lockstep_model_version_failed: 'needs a pushed model file that passes its inspection and does not load',
  lockstep_model_process_ends_total: 'needs a model whose process crashes or hangs',
  lockstep_push_fold_failures_total: 'needs an online store that goes away between two writes',
  lockstep_stream_failures_total: 'needs a server of streams that goes away',
  lockstep_alert_deliveries_total: 'needs a channel whose receiver answers',
  lockstep_tls_certificate_expiry_timestamp_seconds: 'exists only on a server with TLS',
  lockstep_training_late: 'exists only of a training with a schedule that has run',
  lockstep_workers_replaced_total: 'exists only with --workers',
}
