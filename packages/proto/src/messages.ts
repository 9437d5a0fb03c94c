import type { ServerDuplexStream } from '@grpc/grpc-js';

const EVENTS = ['readable', 'end', 'error', 'close'] as const;

/**
 * The messages that a client streams, each fetched when it is asked for; what the client sends beyond waits on its side.
 * Left to itself, grpc-js' stream reads 16 messages ahead, each of which may be as large as a message can be. Ends when
 * the client has no more to send, or the call is over: of that its signal tells.
 */
export async function* messagesOf<Message>(
  call: ServerDuplexStream<Message, unknown>,
): AsyncGenerator<Message> {
  const fetch = call._read.bind(call);
  let isHeldBack = false;
  call._read = () => {
    isHeldBack = true;
  };
  let isOver = false;
  let wake = () => {};
  const onEvent = () => wake();
  const onOver = () => {
    isOver = true;
  };
  // Before the others, which wake.
  call.on('error', onOver);
  call.on('close', onOver);
  for (const event of EVENTS) call.on(event, onEvent);
  try {
    while (!isOver && !call.readableEnded) {
      const message = call.read() as Message | null;
      if (message !== null) {
        yield message;
        continue;
      }
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (isHeldBack) {
        isHeldBack = false;
        fetch(1);
      }
      await woken;
    }
  } finally {
    call.off('error', onOver);
    call.off('close', onOver);
    for (const event of EVENTS) call.off(event, onEvent);
  }
}
