import { connect } from 'node:net';

const PROBE_MS_MAX = 1_000;

/**
 * Whether a Redis on this port takes commands: it answers PING with PONG, and not with LOADING while it reads its
 * append-only file back. Speaks the inline protocol, so that a starter needs no Redis client.
 */
export function answersPing(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PROBE_MS_MAX, () => end(false));
    socket.on('error', () => end(false));
    socket.on('close', () => end(false));
    socket.on('connect', () => socket.write('PING\r\n'));
    socket.on('data', (answer) => end(answer.toString('latin1').startsWith('+PONG')));
  });
}
