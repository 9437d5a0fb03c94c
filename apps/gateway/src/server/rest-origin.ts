import { isLoopback } from '@miniodb/core/config/relations.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { FastifyRequest } from 'fastify';

/**
 * While permissions are off, whoever reaches the port may do everything, and a browser on this machine reaches it for any
 * page that it shows. Two things tell such a page: the Origin that its requests carry, and, where a foreign name was made
 * to mean this machine, the Host. Programs send no Origin, and the Host that they were told.
 */

/** Throws `permission_denied`/`origin_forbidden`. @param boundHost that the server listens on */
export function requireOwnOrigin({ headers }: FastifyRequest, boundHost: string): void {
  const host = hostnameOf(`http://${headers.host ?? ''}`);
  if (isLoopback(boundHost) && host !== undefined && host !== boundHost && !isLoopback(host))
    throw forbidden('Host');
  if (headers.origin === undefined) return;
  const origin = hostnameOf(headers.origin);
  if (origin === undefined || (origin !== host && !isLoopback(origin))) throw forbidden('Origin');
}

function forbidden(header: string): MiniodbError {
  return new MiniodbError(
    'permission_denied',
    `the ${header} of the request is not this server: while permissions are off, no other page may call it`,
    { code: 'origin_forbidden' },
  );
}

/** Undefined for what is no URL with a host, `null` among them. */
function hostnameOf(url: string): string | undefined {
  const hostname = URL.parse(url)?.hostname ?? '';
  return hostname === '' ? undefined : hostname;
}
