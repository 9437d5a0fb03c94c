import type { HealthCheckResponse } from '@miniodb/proto/gen/olap/v1/olap.ts';
import type { HealthReport } from '../api.ts';

export function healthResponse(report: HealthReport, now: Date): HealthCheckResponse {
  return {
    status: report.healthy ? 'healthy' : 'unhealthy',
    timestamp: now.toISOString(),
    version: report.version,
    details: { ...report.details },
  };
}
