import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

export interface AdminServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface AdminOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Whether it should be sent work: undefined when it should, else why not. */
  readonly notReadyBecause: () => string | undefined;
}

/** Every process' port for operators: /metrics, /healthz (the process lives), /readyz (it should get work). */
export async function startAdminServer(options: AdminOptions): Promise<AdminServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string) => {
      response.writeHead(status, { 'content-type': type }).end(body);
    };
    if (request.method !== 'GET') return answer(405, 'text/plain', 'only GET\n');
    switch (request.url) {
      case '/healthz':
        return answer(200, 'text/plain', 'ok\n');
      case '/readyz': {
        const reason = options.notReadyBecause();
        return reason === undefined
          ? answer(200, 'text/plain', 'ready\n')
          : answer(503, 'text/plain', `${reason}\n`);
      }
      case '/metrics':
        options.metrics.text().then(
          (text) => answer(200, options.metrics.contentType, text),
          (error: unknown) => {
            options.log.error({ event: 'metrics_failed', err: error });
            answer(500, 'text/plain', 'metrics failed\n');
          },
        );
        return;
      default:
        return answer(404, 'text/plain', 'there are /healthz, /readyz and /metrics\n');
    }
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
