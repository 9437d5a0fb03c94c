/**
 * Ends what comes too slowly. A message that has begun keeps what has come of it in memory, so whoever sends most of a
 * large one and then waits would hold that for as long as the whole may take.
 */

/** So much may come as slowly as it likes: small messages of slow clients are cheap to hold. */
const FREE_BYTES = 262_144;
const WINDOW_MS = 10_000;
/** 52 kbit/s. */
const WINDOW_BYTES_MIN = 65_536;

export interface Pace {
  arrived(bytes: number): void;
  /** All has come, or nobody wants it any more. Repeatable; then it may start anew with the next bytes. */
  end(): void;
}

/** @param onSlow called at most once before the next `end`: in some window too little has come */
export function watchPace(onSlow: () => void, windowMs = WINDOW_MS): Pace {
  let total = 0;
  let inWindow = 0;
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    clearInterval(timer);
    timer = undefined;
    total = 0;
  };
  const look = () => {
    const isSlow = inWindow < WINDOW_BYTES_MIN;
    inWindow = 0;
    if (!isSlow) return;
    end();
    onSlow();
  };
  return {
    arrived(bytes) {
      total += bytes;
      inWindow += bytes;
      if (total <= FREE_BYTES || timer !== undefined) return;
      inWindow = 0;
      timer = setInterval(look, windowMs);
    },
    end,
  };
}
