import type { Metrics } from '../runtime/metrics.ts';
import type { StoreMeter } from './metered.ts';

/** What a process asks of the object store. */
export function meterStore(metrics: Metrics): StoreMeter {
  const requests = metrics.counter('miniodb_object_store_requests_total', 'Calls of the object store', [
    'operation',
  ]);
  const errors = metrics.counter('miniodb_object_store_errors_total', 'Calls that failed, by cause', [
    'operation',
    'code',
  ]);
  const bytes = metrics.counter('miniodb_object_store_bytes_total', 'Bytes of bodies, either way', [
    'operation',
  ]);
  const duration = metrics.seconds(
    'miniodb_object_store_duration_seconds',
    'Calls, with all their attempts and pages',
    ['operation'],
  );
  return {
    called(operation, seconds, bodyBytes, code) {
      requests.inc({ operation });
      duration.observe({ operation }, seconds);
      if (bodyBytes > 0) bytes.inc({ operation }, bodyBytes);
      if (code !== undefined) errors.inc({ operation, code });
    },
  };
}
