import { createServer } from 'node:net';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

export const LOOPBACK = '127.0.0.1';

/**
 * A TCP port that nobody listens on now. Another process can take it before the caller does: whoever listens on it
 * must be able to try again with another one.
 */
export async function freePort(host = LOOPBACK): Promise<number> {
  const port = await listenBriefly(0, host);
  if (port === undefined) {
    throw new MiniodbError('unavailable', `no port is free on ${host}`, { code: 'no_free_port' });
  }
  return port;
}

export async function isPortFree(port: number, host = LOOPBACK): Promise<boolean> {
  return (await listenBriefly(port, host)) !== undefined;
}

/** The port it listened on; undefined when the port is taken. */
async function listenBriefly(port: number, host: string): Promise<number | undefined> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host, exclusive: true }, resolve);
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : undefined;
}
