import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * A TCP proxy in front of a server, whose faults a test switches while traffic flows. Modes:
 *
 *   pass          bytes go both ways
 *   drop-replies  requests go through, what the server answers is thrown away
 *   refuse        new connections are closed at once
 */
export type ProxyMode = 'pass' | 'drop-replies' | 'refuse';

export interface TcpProxy {
  readonly port: number;
  setMode(mode: ProxyMode): void;
  /** Bytes that went from clients to the server since the mode was last set. */
  readonly bytesToServer: number;
  /** Cuts every connection. */
  cut(): void;
  close(): Promise<void>;
}

export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let mode: ProxyMode = 'pass';
  let bytesToServer = 0;
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    track(client);
    if (mode === 'refuse') {
      client.destroy();
      return;
    }
    const upstream = connect(targetPort, '127.0.0.1');
    track(upstream);
    client.on('data', (bytes) => {
      bytesToServer += bytes.length;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (mode !== 'drop-replies') client.write(bytes);
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    setMode(next) {
      mode = next;
      bytesToServer = 0;
    },
    get bytesToServer() {
      return bytesToServer;
    },
    cut,
    async close() {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
